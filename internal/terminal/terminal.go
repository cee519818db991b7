// Package terminal keeps what was read from a host from driving the terminal that it is shown on.
package terminal

import (
	"strings"
	"unicode"
)

// Line is s as it may be shown, on one line: each line end, with the white space about it, is a space, and other characters that print nothing are U+FFFD.
func Line(s string) string {
	if strings.ContainsAny(s, "\t\n\r") {
		s = strings.Join(strings.Fields(s), " ")
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
