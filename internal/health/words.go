package health

import (
	"strings"
	"unicode"

	"github.com/ampconnector/amp/internal/fault"
)

// Words of evidence that several rules use.
var (
	wordExists  = fault.Text{EN: "exists", JA: "存在すること"}
	wordAbsent  = fault.Text{EN: "does not exist", JA: "存在しません"}
	wordPresent = fault.Text{EN: "present", JA: "あり"}
	wordNone    = fault.Text{EN: "none", JA: "なし"}
	wordAllowed = fault.Text{EN: "allowed", JA: "許可"}
	wordUnread  = fault.Text{EN: "not known: %v", JA: "不明: %v"}
)

// onlyContext is the expectation of a value that is only context.
var onlyContext = fault.Text{}

// clean keeps what a host calls its files, and what was read of them, from driving the terminal that it is shown on.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
