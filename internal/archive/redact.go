package archive

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// removed stands where a secret was.
const removed = "[removed]"

// secretNames are what settings are called that hold a secret; a name may have more before it (db_password) and the ending of a plural.
const secretNames = `(?:password|passwd|passphrase|passcode|(?:\b|_)pass|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?)s?`

// value is what is assigned: up to the quote that ends it, where one begins it.
const value = `(?P<secret>\\"(?:[^"\\\n]|\\[^"\n])*|"(?:[^"\\\n]|\\.)*|'[^'\n]*|[^\s"'&,;<>]+)`

// Patterns find secrets by what stands around them; the group named secret is taken out. blocks go over several lines, and have a word without which
// they do not match: to look for that is a hundred times faster.
var blocks = []struct {
	hint    string
	pattern *regexp.Regexp
}{
	// A block of PEM, also one whose end is cut off, and one that a program printed with \n for its line ends.
	{"PRIVATE KEY-----", regexp.MustCompile(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?P<secret>(?s:.*?))(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)`)},
	{"PRIVATE KEY-----", regexp.MustCompile(`\A(?P<secret>[A-Za-z0-9+/=\s]+)-----END [A-Z0-9 ]*PRIVATE KEY-----`)}, // whose beginning is cut off
	// <password …>VALUE</password>.
	{"</", regexp.MustCompile(`(?i)<[a-z0-9_:.-]*` + secretNames + `(?:\s[^<>\n]*)?>(?P<secret>[^<]+)</`)},
}

// settings are patterns within a line.
var settings = []*regexp.Regexp{
	// NAME=VALUE, "NAME" = 'VALUE'. A value in quotes goes to the quote that ends it.
	regexp.MustCompile(`(?i)` + secretNames + `\\?["']?[ \t]*:?=[ \t]*` + value),
	// NAME: VALUE, "NAME": "VALUE"; not the error of a file, as in "open /etc/passwd: no such file".
	regexp.MustCompile(`(?im)(?:^|[^a-z0-9_./-])[a-z0-9_.-]*` + secretNames + `\\?["']?[ \t]*:[ \t]*` + value),
	// --password VALUE, -passwd VALUE.
	regexp.MustCompile(`(?im)(?:^|[\s"'\[])--?[a-z0-9_-]*` + secretNames + `["',]*[ \t]+(?P<secret>"[^"\n]*|'[^'\n]*|[^\s"',\]]+)`),
	// Headers of HTTP.
	regexp.MustCompile(`(?i)\b(?:proxy-)?authorization\\?["']?[ \t]*[:=][ \t]*(?P<secret>[^\r\n]+)`),
	regexp.MustCompile(`(?i)\b(?:set-)?cookie\\?["']?[ \t]*:[ \t]*(?P<secret>[^\r\n]+)`),
	regexp.MustCompile(`(?i)\bbearer[ \t]+(?P<secret>[a-z0-9._~+/=-]{12,})`),
	// scheme://user:password@host. What may stand in a password are also colons, slashes and signs "at" that should have been escaped.
	regexp.MustCompile(`(?i)\b[a-z][a-z0-9+.-]*://[^\s/:@"'<>]*:(?P<secret>[^\s"'<>]+)@`),
	// scheme://TOKEN@host: no user's name is so long.
	regexp.MustCompile(`(?i)\b[a-z][a-z0-9+.-]*://(?P<secret>[a-z0-9_.~+=-]{20,})@`),
	// -u USER:PASSWORD, --user=USER:PASSWORD, as curl(1) has it; not the ids of a user and a group.
	regexp.MustCompile(`(?im)(?:^|[\s"'\[])(?:-u|--user)["',]*[ \t=]*["']?[^\s"':=,/]+:(?P<secret>[^\s"',;\]]*[^\s"',;\]0-9][^\s"',;\]]*)`),
}

// hints are in each line that one of settings matches, in lower case.
var hints = []string{"pass", "pwd", "secret", "token", "key", "credential", "authorization", "cookie", "bearer", "://", "-u"}

// Redactor takes secrets out of texts.
type Redactor struct {
	settings []*regexp.Regexp
	hints    []string
}

// NewRedactor makes one that beside what all programs write as secrets takes out the word that follows one of the phrases.
func NewRedactor(phrases ...string) *Redactor {
	r := &Redactor{slices.Clone(settings), slices.Clone(hints)}
	for _, p := range phrases {
		r.settings = append(r.settings, regexp.MustCompile(regexp.QuoteMeta(p)+`\s*(?P<secret>[^\s"\\]+)`))
		r.hints = append(r.hints, string(lower([]byte(p))))
	}
	return r
}

// Redact returns the text with each secret replaced by "[removed]", and how many there were. Its own result it leaves as it is.
func (r *Redactor) Redact(text []byte) ([]byte, int) {
	n := 0
	for _, b := range blocks {
		if !bytes.Contains(text, []byte(b.hint)) {
			continue
		}
		var k int
		text, k = replace(b.pattern, text)
		n += k
	}
	small := lower(text)
	present := slices.DeleteFunc(slices.Clone(r.hints), func(h string) bool { return !bytes.Contains(small, []byte(h)) })
	if len(present) == 0 {
		return text, n
	}
	var out bytes.Buffer
	for len(text) > 0 {
		end := bytes.IndexByte(text, '\n') + 1
		if end == 0 {
			end = len(text)
		}
		line := text[:end]
		if slices.ContainsFunc(present, func(h string) bool { return bytes.Contains(small[:end], []byte(h)) }) {
			var k int
			line, k = r.redactLine(line)
			n += k
		}
		out.Write(line)
		text, small = text[end:], small[end:]
	}
	return out.Bytes(), n
}

func (r *Redactor) redactLine(line []byte) ([]byte, int) {
	n := 0
	for _, p := range r.settings {
		var k int
		line, k = replace(p, line)
		n += k
	}
	return line, n
}

// lower is the text with the letters of ASCII in lower case, and as long as it was.
func lower(text []byte) []byte {
	small := make([]byte, len(text))
	for i, c := range text {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		small[i] = c
	}
	return small
}

// replace takes out the group named secret of each match; a quote that begins it stays.
func replace(p *regexp.Regexp, text []byte) ([]byte, int) {
	group := p.SubexpIndex("secret")
	var out bytes.Buffer
	n, done := 0, 0
	for _, at := range p.FindAllSubmatchIndex(text, -1) {
		from, to := at[2*group], at[2*group+1]
		from += opening(text[from:to])
		if from == to || strings.Trim(string(text[from:to]), "[]") == "removed" {
			continue
		}
		out.Write(text[done:from])
		out.WriteString(removed)
		done = to
		n++
	}
	if n == 0 {
		return text, 0
	}
	out.Write(text[done:])
	return out.Bytes(), n
}

// opening is how long the quote is that a value begins with.
func opening(value []byte) int {
	switch {
	case bytes.HasPrefix(value, []byte(`\"`)):
		return 2
	case bytes.HasPrefix(value, []byte(`"`)), bytes.HasPrefix(value, []byte(`'`)):
		return 1
	}
	return 0
}

// redactJSON redacts a text that is JSON, in one piece or line by line, so that it stays JSON: where a secret goes on to the end of its line, its
// string ends too.
func (r *Redactor) redactJSON(text []byte) ([]byte, int) {
	redacted, n := r.Redact(text)
	if n == 0 || json.Valid(redacted) {
		return redacted, n
	}
	if json.Valid(text) {
		return r.redactStrings(text)
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	if len(lines) < 2 {
		return redacted, n
	}
	n = 0
	for i, line := range lines {
		var k int
		lines[i], k = r.Redact(line)
		if k > 0 && json.Valid(line) && !json.Valid(lines[i]) {
			lines[i], k = r.redactStrings(line)
		}
		n += k
	}
	return bytes.Join(lines, nil), n
}

// redactStrings redacts each string of a JSON text by itself.
func (r *Redactor) redactStrings(text []byte) ([]byte, int) {
	n := 0
	clean := jsonString.ReplaceAllFunc(text, func(literal []byte) []byte {
		var s string
		if json.Unmarshal(literal, &s) != nil {
			return literal
		}
		redacted, k := r.Redact([]byte(s))
		if k == 0 {
			return literal
		}
		n += k
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		_ = e.Encode(string(redacted)) // a string always has a form in JSON
		return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	})
	return clean, n
}

// jsonString is a string literal of JSON.
var jsonString = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
