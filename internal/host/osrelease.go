package host

import (
	"bytes"
	"strings"
)

// maxOSRelease is the size beyond which an os-release is refused; real ones have less than 1 KiB.
const maxOSRelease = 64 << 10

// OSRelease is a parsed os-release(5).
type OSRelease struct {
	Fields map[string]string
	Bad    []BadLine // lines that were passed over, as every reader of the format does
}

// ParseOSRelease parses b, which came from the file called name. Values may be bare, or in single or double quotes, where a
// backslash takes the meaning from $ " \ and `; of two lines with one key the last counts, as for a shell that sources the
// file. A line that cannot be read is recorded and passed over.
func ParseOSRelease(name string, b []byte) (OSRelease, error) {
	if len(b) > maxOSRelease {
		return OSRelease{}, errTooLarge(name, maxOSRelease)
	}
	o := OSRelease{Fields: map[string]string{}}
	for i, raw := range bytes.Split(b, []byte("\n")) {
		line := strings.TrimSpace(string(raw))
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, reason := parseAssignment(line)
		if reason != "" {
			o.Bad = append(o.Bad, BadLine{name, i + 1, reason})
			continue
		}
		o.Fields[key] = value
	}
	return o, nil
}

// parseAssignment reads KEY=VALUE, and says what is wrong with it if it is none.
func parseAssignment(line string) (key, value, reason string) {
	key, rest, ok := strings.Cut(line, "=")
	switch {
	case !ok:
		return "", "", "no '='"
	case key == "" || strings.ContainsFunc(key, notKeyRune) || key[0] >= '0' && key[0] <= '9':
		return "", "", "not a variable name before '='"
	}
	value, reason = unquote(rest)
	if reason == "" && !printable(value) {
		reason = "the value has control characters or is not UTF-8"
	}
	return key, value, reason
}

func notKeyRune(c rune) bool {
	return c != '_' && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9')
}

// unquote reads a value. A bare one may hold blanks, which systemd accepts though a shell would not.
func unquote(s string) (value, reason string) {
	if s == "" || s[0] != '"' && s[0] != '\'' {
		return unescape(s, -1)
	}
	end := closing(s)
	if end < 0 {
		return "", "the quotation mark is not closed"
	}
	if rest := strings.TrimSpace(s[end+1:]); rest != "" && rest[0] != '#' {
		return "", "text after the closing quotation mark"
	}
	if s[0] == '\'' {
		return s[1:end], ""
	}
	return unescape(s[1:end], '"')
}

// closing finds the quotation mark that ends the value that s begins with.
func closing(s string) int {
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && s[0] == '"':
			i++
		case s[i] == s[0]:
			return i
		}
	}
	return -1
}

// unescape takes out backslashes: in double quotes those before $ " \ and `, in a bare value all.
func unescape(s string, quote rune) (value, reason string) {
	if strings.IndexByte(s, '\\') < 0 {
		return s, ""
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && (quote < 0 || strings.IndexByte("$\"\\`", s[i+1]) >= 0) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), ""
}
