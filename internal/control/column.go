package control

import (
	"strings"
	"unicode"
)

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
