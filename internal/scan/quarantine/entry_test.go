package quarantine

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

func entryOf() Entry {
	return Entry{
		ID: "20261129-0a1b2c3d", Path: "/srv/odd\xff \"name", SHA256: strings.Repeat("ab", 32), Size: 68, Mode: 0o4755, UID: 1000, GID: 100,
		Accessed: Moment{1 << 40, 999999999}, Modified: Moment{-5, 0}, Attributes: []Attribute{{"user.x\xfe", []byte{0, 1}}, {"security.selinux", []byte("u:r:t:s0\x00")}},
		Taken: time.Unix(1796000000, 5).UTC(), Why: Why{Name: "Eicar", Process: "/bin/\xff"},
	}
}

func TestEntryComesBack(t *testing.T) {
	e := entryOf()
	b, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseEntry("x", b)
	if err != nil || !reflect.DeepEqual(got, e) {
		t.Errorf("%+v, %v; expected %+v", got, err, e)
	}
}

func TestEntryIsChecked(t *testing.T) {
	for name, change := range map[string]func(*Entry){
		"id":              func(e *Entry) { e.ID = "../../etc/shadow" },
		"day":             func(e *Entry) { e.ID = "20261399-0a1b2c3d" },
		"relative":        func(e *Entry) { e.Path = "srv/x" },
		"detour":          func(e *Entry) { e.Path = "/srv/../etc/x" },
		"root":            func(e *Entry) { e.Path = "/" },
		"long":            func(e *Entry) { e.Path = Text("/" + strings.Repeat("x", maxPath)) },
		"nul":             func(e *Entry) { e.Path = "/a\x00b" },
		"sum":             func(e *Entry) { e.SHA256 = strings.Repeat("AB", 32) },
		"size":            func(e *Entry) { e.Size = -1 },
		"mode":            func(e *Entry) { e.Mode = 0o100644 },
		"time":            func(e *Entry) { e.Modified.Nanoseconds = 1e9 },
		"name":            func(e *Entry) { e.Why.Name = strings.Repeat("x", maxWord+1) },
		"attribute":       func(e *Entry) { e.Attributes = []Attribute{{"", nil}} },
		"large attribute": func(e *Entry) { e.Attributes = []Attribute{{"user.x", make([]byte, maxAttribute+1)}} },
		"many attributes": func(e *Entry) { e.Attributes = make([]Attribute, maxAttributes+1) },
	} {
		e := entryOf()
		change(&e)
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseEntry("file", b); err == nil || !strings.HasPrefix(err.Error(), "file: ") {
			t.Errorf("%s: %v, expected an error that names the file", name, err)
		}
	}
	b, _ := json.Marshal(entryOf())
	for name, text := range map[string]string{
		"nothing": "", "cut": string(b[:len(b)-1]), "more": string(b) + "{}", "other": `{"id":1}`, "unknown": `{"colour":"red"}`, "large": strings.Repeat(" ", maxEntry+1),
	} {
		if _, err := ParseEntry("file", []byte(text)); err == nil {
			t.Errorf("%s: expected an error", name)
		}
	}
}

func FuzzParseEntry(f *testing.F) {
	b, err := json.Marshal(entryOf())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"id":"20261129-0a1b2c3d","path":{"hex":"2fff"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseEntry("x", b)
		if err != nil {
			return
		}
		again, err := json.Marshal(e)
		if err != nil {
			return // a time that JSON cannot say
		}
		if len(again) > maxEntry {
			return
		}
		if got, err := ParseEntry("x", again); err != nil || got.ID != e.ID || got.Path != e.Path || len(got.Attributes) != len(e.Attributes) {
			t.Errorf("%+v, %v; expected %+v", got, err, e)
		}
	})
}

func FuzzParseOthers(f *testing.F) {
	f.Add([]byte(`[{"id":"20261129-0a1b2c3d","sha256":"` + strings.Repeat("ab", 32) + `","name":"x","path":"/x","since":"2026-11-29T00:00:00Z"}]`))
	f.Add([]byte(`{"id":"20261129-0a1b2c3d","to":"/x"}`))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = parseAllowed(b)
		_, _ = parseRestoring("x", b)
	})
}
