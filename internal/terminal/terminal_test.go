package terminal

import (
	"testing"
	"unicode"
)

func TestLine(t *testing.T) {
	for s, want := range map[string]string{
		"":                                   "",
		"two  words":                         "two  words",
		"map create:\n\toperation refused\n": "map create: operation refused",
		"\x1b[2Jcleared":                     "\uFFFD[2Jcleared",
		"\xff\xfe":                           "\uFFFD\uFFFD",
		"left \u202eright":                   "left \uFFFDright",
		"カーネル":                               "カーネル",
		"\r":                                 "",
	} {
		if got := Line(s); got != want {
			t.Errorf("%q: %q, expected %q", s, got, want)
		}
	}
}

func FuzzLine(f *testing.F) {
	f.Add("a\n\x1b]0;title\a")
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range Line(s) {
			if !unicode.IsPrint(r) {
				t.Fatalf("%q has %U", Line(s), r)
			}
		}
	})
}
