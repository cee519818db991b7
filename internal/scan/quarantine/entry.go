package quarantine

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of an entry, in bytes where nothing else is said.
const (
	maxEntry      = 1 << 20 // the file of it
	maxPath       = 4095    // PATH_MAX of Linux, without the NUL
	maxAttributes = 256     // extended ones
	maxAttribute  = 64 << 10
	maxAllValues  = 256 << 10 // of all values together; JSON writes them a third longer
	maxWord       = 4096      // other texts
)

// Entry is what is known of a stored file.
type Entry struct {
	ID     string `json:"id"`
	Path   Text   `json:"path"`           // where it was, from the root of that view
	View   string `json:"view,omitempty"` // of a container or a process, if that was not the host's own
	SHA256 string `json:"sha256"`         // of the content, in hexadecimal
	Size   int64  `json:"size"`           // bytes

	Mode       uint32      `json:"mode"` // permissions, setuid, setgid and sticky, as st_mode has them
	UID        uint32      `json:"uid"`
	GID        uint32      `json:"gid"`
	Accessed   Moment      `json:"accessed"`
	Modified   Moment      `json:"modified"`
	Changed    Moment      `json:"changed"` // is told only: it cannot be set
	Device     uint64      `json:"device"`  // st_dev, which may be another one after the next start
	Inode      uint64      `json:"inode"`
	Names      uint64      `json:"names"` // other hard links, which are still there
	Attributes []Attribute `json:"attributes,omitempty"`
	Verity     string      `json:"verity,omitempty"` // fs-verity digest, "ALGORITHM:HEXADECIMAL"; is told only

	Taken time.Time `json:"taken"`
	Why   Why       `json:"why"`
}

// Why is what led to an entry.
type Why struct {
	Name        string `json:"name"` // what was found
	Engine      string `json:"engine,omitempty"`
	Definitions string `json:"definitions,omitempty"` // ID of the set
	Event       string `json:"event,omitempty"`       // kind of the event that made it be scanned; "": somebody asked for it
	PID         uint32 `json:"pid,omitempty"`         // of the process that did it
	Process     Text   `json:"process,omitempty"`     // its program
	UID         uint32 `json:"uid"`                   // its user
}

// Moment is a time of a file: seconds since 1970, and ns.
type Moment struct {
	Seconds     int64 `json:"s"`
	Nanoseconds int64 `json:"ns"`
}

// Attribute is one extended attribute.
type Attribute struct {
	Name  Text   `json:"name"`
	Value []byte `json:"value"`
}

// Text is bytes that Linux takes for a name. In JSON it is a string where it is UTF-8, else {"hex":"…"}.
type Text string

// MarshalJSON implements json.Marshaler.
func (t Text) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		return json.Marshal(string(t))
	}
	return json.Marshal(map[string]string{"hex": hex.EncodeToString([]byte(t))})
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *Text) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, (*string)(t))
	}
	var odd struct {
		Hex string `json:"hex"`
	}
	if err := json.Unmarshal(b, &odd); err != nil {
		return err
	}
	raw, err := hex.DecodeString(odd.Hex)
	*t = Text(raw)
	return err
}

// parse reads one JSON value and nothing after it, of which all members are known.
func parse(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("expected the end of the file after the entry")
	}
	return nil
}

// ParseEntry reads the file of an entry; name is used in errors.
func ParseEntry(name string, b []byte) (Entry, error) {
	if len(b) > maxEntry {
		return Entry{}, fmt.Errorf("%s: %d bytes: expected at most %d", name, len(b), maxEntry)
	}
	var e Entry
	if err := parse(b, &e); err != nil {
		return Entry{}, fmt.Errorf("%s: %w", name, err)
	}
	if err := e.check(); err != nil {
		return Entry{}, fmt.Errorf("%s: %w", name, err)
	}
	return e, nil
}

// check refuses what Take does not write.
func (e *Entry) check() error {
	switch {
	case !isID(e.ID):
		return fmt.Errorf("id %.80q: expected the date, a dash and eight hexadecimal digits", e.ID)
	case !isPath(string(e.Path)):
		return fmt.Errorf("path %.80q: expected a clean one from the root, of at most %d bytes", e.Path, maxPath)
	case !isSHA256(e.SHA256):
		return fmt.Errorf("sha256 %.80q: expected 64 hexadecimal digits", e.SHA256)
	case e.Size < 0:
		return fmt.Errorf("size %d: expected no less than 0", e.Size)
	case e.Mode&^0o7777 != 0:
		return fmt.Errorf("mode %#o: expected permissions alone", e.Mode)
	}
	for _, m := range []Moment{e.Accessed, e.Modified, e.Changed} {
		if m.Nanoseconds < 0 || m.Nanoseconds >= int64(time.Second) {
			return fmt.Errorf("time %d.%d: expected less than a second of ns", m.Seconds, m.Nanoseconds)
		}
	}
	for _, word := range []string{e.View, e.Verity, e.Why.Name, e.Why.Engine, e.Why.Definitions, e.Why.Event, string(e.Why.Process)} {
		if len(word) > maxWord {
			return fmt.Errorf("a text of %d bytes: expected at most %d", len(word), maxWord)
		}
	}
	return checkAttributes(e.Attributes)
}

func checkAttributes(all []Attribute) error {
	if len(all) > maxAttributes {
		return fmt.Errorf("%d extended attributes: expected at most %d", len(all), maxAttributes)
	}
	sum := 0
	for _, a := range all {
		sum += len(a.Value)
		switch {
		case a.Name == "" || len(a.Name) > 255 || strings.IndexByte(string(a.Name), 0) >= 0: // XATTR_NAME_MAX
			return fmt.Errorf("extended attribute %.80q: expected a name of 1 to 255 bytes", a.Name)
		case len(a.Value) > maxAttribute || sum > maxAllValues:
			return fmt.Errorf("extended attribute %s: more than %d bytes, or than %d of all together", a.Name, maxAttribute, maxAllValues)
		}
	}
	return nil
}

// isPath reports whether a path is one from a root to a name, without detours.
func isPath(p string) bool {
	return path.IsAbs(p) && len(p) <= maxPath && p != "/" && path.Clean(p) == p && strings.IndexByte(p, 0) < 0
}

func isSHA256(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32 && strings.ToLower(s) == s
}

// idForm is YYYYMMDD-XXXXXXXX: a day, since a person remembers that, and what tells the files of a day apart.
const idDate = "20060102"

func isID(s string) bool {
	day, rest, ok := strings.Cut(s, "-")
	if _, err := time.Parse(idDate, day); err != nil || !ok {
		return false
	}
	b, err := hex.DecodeString(rest)
	return err == nil && len(b) == 4 && strings.ToLower(rest) == rest
}
