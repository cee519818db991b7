package definitions

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxLine bounds a line of a text database, in bytes. The engine reads logical signatures of up to 32 KiB; what is longer it cuts.
const maxLine = 64 << 10

// checkLines reads a text database and tells the first line that cannot be an entry. That each line is a good one only the engine can say.
func checkLines(r io.Reader, k kind) error {
	lines := bufio.NewReaderSize(r, maxLine)
	entries := 0
	for n := 1; ; n++ {
		line, err := lines.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return fmt.Errorf("line %d: longer than %d bytes", n, maxLine)
		case err != nil && err != io.EOF:
			return err
		}
		if why := k.implausible(bytes.TrimRight(line, "\r\n")); why != "" {
			return fmt.Errorf("line %d: %s", n, why)
		}
		if len(bytes.TrimSpace(line)) > 0 && line[0] != '#' {
			entries++
		}
		if err == io.EOF {
			break
		}
	}
	if entries == 0 {
		return errors.New("no entry in it")
	}
	return nil
}

// implausible says why a line is no entry, "" where it may be one. Blank lines and comments are left to the engine, which takes them in some kinds.
func (k kind) implausible(line []byte) string {
	if len(bytes.TrimSpace(line)) == 0 || line[0] == '#' {
		return ""
	}
	for i, b := range line {
		if b < ' ' && b != '\t' || b == 0x7f {
			return fmt.Sprintf("byte %d is %#02x: expected text", i+1, b)
		}
	}
	if k.least > 0 {
		if n := strings.Count(string(line), k.separator); n < k.least {
			return fmt.Sprintf("read %.60q: expected at least %d fields between %q", line, k.least+1, k.separator)
		}
	}
	return ""
}

// checkSignature reads a .sign file, which is text with a line of base 64.
func checkSignature(r io.Reader) error {
	return checkLines(r, kind{form: Lines})
}
