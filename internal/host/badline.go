package host

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxLine bounds a line of a configuration file, in bytes.
const maxLine = 8 << 10

// BadLine is a line that is not as its format says. It is passed over, or read as far as the programs that own the file
// read it; Reason says so.
type BadLine struct {
	File   string
	Line   int // from 1
	Reason string
}

func (b BadLine) String() string { return fmt.Sprintf("%s: line %d: %s", b.File, b.Line, b.Reason) }

// malformed makes an error that names file and line.
func malformed(file string, line int, format string, args ...any) error {
	return fmt.Errorf("open %s: line %d: %s: %w", file, line, fmt.Sprintf(format, args...), ErrMalformed)
}

// printable reports whether s may be shown on a terminal as it is.
func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}

func errTooLarge(file string, limit int) error {
	return fmt.Errorf("read %s: %w: more than %d bytes", file, ErrTooLarge, limit)
}
