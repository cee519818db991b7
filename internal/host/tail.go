package host

import (
	"bytes"
	"io"
	"strings"
	"unicode"
)

// Bounds of Tail.
const (
	tailBytes = 16 << 10
	tailWidth = 300 // characters of a line that are kept
)

// Tail reads the last lines of a log, at most n. What could drive a terminal is replaced, long lines are cut, and so is a first line that
// begins further back than is read.
func (r Root) Tail(name string, n int) Reading[[]string] {
	path, err := r.Path(name)
	if err != nil {
		return NotKnown[[]string](name, err)
	}
	f, err := openRegular(path)
	if err != nil {
		return NotKnown[[]string](name, err)
	}
	defer f.Close()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return NotKnown[[]string](name, err)
	}
	from := max(0, end-tailBytes)
	b, err := io.ReadAll(io.NewSectionReader(f, from, end-from))
	if err != nil {
		return NotKnown[[]string](name, err)
	}
	if _, rest, ok := bytes.Cut(b, []byte("\n")); from > 0 && ok {
		b = rest
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	if len(b) == 0 {
		lines = nil
	}
	lines = lines[max(0, len(lines)-n):]
	for i := range lines {
		lines[i] = shown(lines[i])
	}
	return Read(lines, name)
}

// shown is a line as it may be put on a terminal.
func shown(line string) string {
	var b strings.Builder
	n := 0
	for _, c := range line {
		if n++; n > tailWidth {
			b.WriteRune('…')
			break
		}
		if c == '\t' {
			c = ' '
		}
		if !unicode.IsPrint(c) {
			c = unicode.ReplacementChar
		}
		b.WriteRune(c)
	}
	return b.String()
}
