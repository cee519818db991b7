package control

import (
	"strings"
	"unicode"
)

// printable keeps what was read from a host from driving the terminal that it is shown on, and on one line.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}

// width is the column at which the values of a status begin.
const width = 16

// padded fills a label up to the column of the values, with East Asian characters two columns wide.
func padded(label string) string {
	columns := 0
	for _, r := range label {
		columns++
		if r >= 0x1100 && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana) || r == 'ー' {
			columns++
		}
	}
	return label + strings.Repeat(" ", max(1, width-columns))
}
