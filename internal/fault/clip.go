package fault

import "strings"

// clip makes s valid UTF-8 of at most maxText bytes, as it will be read back.
func clip(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= maxText {
		return s
	}
	const more = "…"
	return strings.ToValidUTF8(s[:maxText-len(more)], "") + more
}
