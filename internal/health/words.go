package health

import (
	"strings"

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

// onOneLine is an error for a sentence. The verifier's is a log of many lines: what matters of it is the first, and the last but the sum of its work.
func onOneLine(words string) string {
	var lines []string
	for line := range strings.Lines(words) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "processed ") {
			lines = append(lines, line)
		}
	}
	if len(lines) < 2 {
		return strings.TrimSpace(words)
	}
	first, _, _ := strings.Cut(lines[0], "; the verifier")
	return first + ": " + lines[len(lines)-1]
}
