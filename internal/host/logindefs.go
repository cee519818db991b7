package host

import (
	"bytes"
	"strings"
)

// Where login.defs(5) is. Distributions whose shadow reads it with libeconf (SUSE, --enable-vendordir) keep the vendor's file below /usr/etc.
const (
	LoginDefsPath       = "/etc/login.defs"
	VendorLoginDefsPath = "/usr/etc/login.defs"
)

// maxLoginDefs is the size beyond which a login.defs is refused; real ones have about 12 KiB.
const maxLoginDefs = 1 << 20

// LoginDefs is a parsed login.defs(5), read as shadow's lib/getdef.c reads it: names are case sensitive and end at a blank
// or tab, a value runs to the end of the line without its trailing white space and ends at a quotation mark, there are no
// comments behind a value, and of several lines with one name the last counts.
type LoginDefs struct {
	name    string
	text    []byte
	entries []loginDef
}

// loginDef is one line that sets something; the value is text[start:end].
type loginDef struct {
	key        string
	line       int
	start, end int
}

// ParseLoginDefs parses b, which came from the file called name. Bytes that no login.defs has (NUL, other control
// characters but tab, carriage return and form feed, a line above 8 KiB, a file above 1 MiB) are ErrMalformed or
// ErrTooLarge with file and line: a file like that is damaged, and is neither believed nor rewritten.
func ParseLoginDefs(name string, b []byte) (*LoginDefs, error) {
	if len(b) > maxLoginDefs {
		return nil, errTooLarge(name, maxLoginDefs)
	}
	d := &LoginDefs{name: name, text: bytes.Clone(b)}
	line := 0
	for at := 0; at < len(b); {
		line++
		next := len(b)
		if i := bytes.IndexByte(b[at:], '\n'); i >= 0 {
			next = at + i + 1
		}
		if err := checkLoginDefsLine(name, line, b[at:next]); err != nil {
			return nil, err
		}
		d.addLine(at, next, line)
		at = next
	}
	return d, nil
}

func checkLoginDefsLine(name string, line int, b []byte) error {
	if len(b) > maxLine {
		return malformed(name, line, "%d bytes long, at most %d expected", len(b), maxLine)
	}
	for i, c := range b {
		if c < ' ' && !strings.ContainsRune("\t\n\v\f\r", rune(c)) || c == 0x7f {
			return malformed(name, line, "byte 0x%02x at column %d, text expected", c, i+1)
		}
	}
	return nil
}

// getdefBuffer is what getdef.c reads at once (fgets into 1024 bytes): it takes the rest of a longer line for a line of its own.
const getdefBuffer = 1023

func (d *LoginDefs) addLine(at, end, line int) {
	for ; at < end; at += getdefBuffer {
		d.addPiece(at, min(end, at+getdefBuffer), line)
	}
}

func (d *LoginDefs) addPiece(at, end, line int) {
	for end > at && isSpace(d.text[end-1]) {
		end--
	}
	at = d.skip(at, end, " \t")
	if at == end || d.text[at] == '#' {
		return
	}
	sep := bytes.IndexAny(d.text[at:end], " \t")
	if sep < 0 {
		return // a name alone sets nothing
	}
	key := string(d.text[at : at+sep])
	start, stop := d.value(at+sep+1, end)
	d.entries = append(d.entries, loginDef{key, line, start, stop})
}

// value finds the value in text[at:end].
func (d *LoginDefs) value(at, end int) (start, stop int) {
	start = d.skip(at, end, " \t\"")
	if i := bytes.IndexByte(d.text[start:end], '"'); i >= 0 {
		return start, start + i
	}
	// An empty value in quotes: what is put there later belongs between them.
	if start == end && end-at >= 2 && d.text[end-1] == '"' && d.text[end-2] == '"' {
		return end - 1, end - 1
	}
	return start, end
}

func (d *LoginDefs) skip(at, end int, set string) int {
	for at < end && strings.IndexByte(set, d.text[at]) >= 0 {
		at++
	}
	return at
}

// isSpace is isspace(3) in the C locale.
func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

// Value returns the value that counts for key, and the line (from 1) that sets it.
func (d *LoginDefs) Value(key string) (value string, line int, ok bool) {
	e, ok := d.effective(key)
	if !ok {
		return "", 0, false
	}
	return string(d.text[e.start:e.end]), e.line, true
}

func (d *LoginDefs) effective(key string) (loginDef, bool) {
	for i := len(d.entries) - 1; i >= 0; i-- {
		if d.entries[i].key == key {
			return d.entries[i], true
		}
	}
	return loginDef{}, false
}

// Bool reads a switch: only "yes", in any case, is yes, as in getdef_bool. An absent one is no.
func (d *LoginDefs) Bool(key string) bool {
	v, _, _ := d.Value(key)
	return strings.EqualFold(v, "yes")
}

// Bytes returns the whole file as it was parsed.
func (d *LoginDefs) Bytes() []byte { return bytes.Clone(d.text) }

// With returns the whole file with key set to value on the line that counts, or on a line added at the end if there is
// none; every other byte stays. Setting the former value again gives the former file. It returns nil for a key or value
// that login.defs cannot express: one with a quotation mark or a line break, an empty key or one with blanks or a leading
// '#', a value with white space at its ends or longer than a line may be.
func (d *LoginDefs) With(key, value string) []byte {
	if !expressible(key, value) {
		return nil
	}
	e, ok := d.effective(key)
	if !ok {
		return d.appended(key, value)
	}
	if value == "" && string(d.text[e.start:e.end]) != "" {
		value = `""`
	}
	return splice(d.text, e.start, e.end, value)
}

func expressible(key, value string) bool {
	if key == "" || key[0] == '#' || strings.ContainsAny(key, " \t\"") || len(key)+len(value) > 512 {
		return false
	}
	for _, s := range []string{key, value} {
		if strings.ContainsFunc(s, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f || c == '"' }) {
			return false
		}
	}
	return value == strings.Trim(value, " \t")
}

func (d *LoginDefs) appended(key, value string) []byte {
	eol := "\n"
	if bytes.Contains(d.text, []byte("\r\n")) {
		eol = "\r\n"
	}
	if value == "" {
		value = `""`
	}
	out := bytes.Clone(d.text)
	if len(out) > 0 && out[len(out)-1] != '\n' {
		out = append(out, eol...)
	}
	return append(out, key+" "+value+eol...)
}

// Revert returns the whole file with key as it was in before, keeping every other edit that was made since: the value is put
// back, or the line taken out if before had none. It is the way back from With when someone else changed the file too.
func (d *LoginDefs) Revert(key string, before *LoginDefs) []byte {
	if old, ok := before.effective(key); ok {
		e, ok := d.effective(key)
		if !ok {
			return bytes.Clone(d.text) // whoever removed the line wanted it gone
		}
		return splice(d.text, e.start, e.end, string(before.text[old.start:old.end]))
	}
	e, ok := d.effective(key)
	if !ok {
		return bytes.Clone(d.text)
	}
	start := bytes.LastIndexByte(d.text[:e.start], '\n') + 1
	end := len(d.text)
	if i := bytes.IndexByte(d.text[e.start:], '\n'); i >= 0 {
		end = e.start + i + 1
	}
	out := splice(d.text, start, end, "")
	for _, eol := range []string{"\n", "\r\n"} { // With had to end the last line first
		if !bytes.HasSuffix(before.text, []byte("\n")) && string(out) == string(before.text)+eol {
			return bytes.Clone(before.text)
		}
	}
	return out
}

func splice(text []byte, start, end int, with string) []byte {
	out := make([]byte, 0, len(text)+len(with))
	out = append(out, text[:start]...)
	out = append(out, with...)
	return append(out, text[end:]...)
}
