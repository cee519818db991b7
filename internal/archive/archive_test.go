package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

var made = time.Date(2026, 11, 30, 12, 0, 0, 5, time.UTC)

// unpack reads an archive: the names in their order, and the contents.
func unpack(t *testing.T, b []byte) (names []string, contents map[string]string) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	contents = map[string]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return names, contents
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil || h.Mode != 0o600 || h.Typeflag != tar.TypeReg {
			t.Errorf("%s: %o, %c, %v", h.Name, h.Mode, h.Typeflag, err)
		}
		names, contents[h.Name] = append(names, h.Name), string(b)
	}
}

func add(t *testing.T, a *Archive, m Member, content []byte) {
	t.Helper()
	if err := a.Add(m, content); err != nil {
		t.Errorf("%s: %v", m.Name, err)
	}
}

func TestArchive(t *testing.T) {
	a := New("folder", made, map[string]string{"host": "h"}, NewRedactor())
	add(t, a, Member{Name: "log/a.log", From: "/var/log/a.log"}, []byte("line\npassword=hunter2\n"))
	add(t, a, Member{Name: "end.log", From: "/end", Cut: true, Source: 99}, []byte("word=hunter2\nwhole\n"))
	add(t, a, Member{Name: "x.bin", From: "/x", AsItIs: true}, []byte("password=kept"))
	a.Absent("/gone", errors.New("no such file"))
	a.Absent("/gone", errors.New("no such file"))
	a.Unread("/shut", errors.New("denied, token=hunter2"))
	a.LeftOut("/out", errors.New("not asked for"))
	var b bytes.Buffer
	if err := a.Write(&b); err != nil {
		t.Fatal(err)
	}
	names, contents := unpack(t, b.Bytes())
	if got := strings.Join(names, " "); got != "folder/MANIFEST.json folder/log/a.log folder/end.log folder/x.bin" {
		t.Errorf("members: %s", got)
	}
	for name, want := range map[string]string{"log/a.log": "line\npassword=[removed]\n", "end.log": "whole\n", "x.bin": "password=kept"} {
		if got := contents["folder/"+name]; got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	var m Manifest
	if err := json.Unmarshal([]byte(contents["folder/MANIFEST.json"]), &m); err != nil {
		t.Fatal(err)
	}
	if m.Removed != 2 || m.Members[0].Removed != 1 || m.Members[0].Size != 24 || m.Members[0].Source != 22 || !m.Members[1].Cut || m.Members[1].Source != 99 || !m.Members[2].AsItIs {
		t.Errorf("%+v", m)
	}
	if len(m.Absent) != 1 || m.Absent[0] != (Missing{From: "/gone", Why: "no such file"}) || m.Unread[0] != (Missing{From: "/shut", Why: "denied, token=[removed]"}) || m.LeftOut[0] != (Missing{From: "/out", Why: "not asked for"}) {
		t.Errorf("%+v", m)
	}
	if !m.Made.Equal(made.Truncate(time.Second)) {
		t.Error(m.Made)
	}
}

func TestBounds(t *testing.T) {
	a := New("folder", made, nil, NewRedactor())
	long := []byte("password=hunter2\n" + strings.Repeat("0123456789abcde\n", MemberLimit/16))
	add(t, a, Member{Name: "long", From: "/long"}, long)
	m := a.Manifest().Members[0]
	if !m.Cut || m.Size != MemberLimit-16 || m.Source != int64(len(long)) {
		t.Errorf("%+v", m)
	}
	add(t, a, Member{Name: "line", From: "/line"}, bytes.Repeat([]byte("x"), MemberLimit+1))
	if m := a.Manifest().Members[1]; !m.Cut || m.Size != 0 {
		t.Errorf("a line that is longer than the bound: %+v", m)
	}
	if err := a.Add(Member{Name: "raw", From: "/raw", AsItIs: true}, bytes.Repeat([]byte("x"), MemberLimit+1)); !errors.Is(err, ErrNoRoom) {
		t.Error(err)
	}
	refused := 0
	for range TotalLimit/MemberLimit + 1 {
		if err := a.Add(Member{Name: "more", From: "/more"}, long); err != nil {
			refused++
		}
	}
	var total int64
	for _, m := range a.Manifest().Members {
		total += m.Size
	}
	if total > TotalLimit || total < TotalLimit-MemberLimit || refused == 0 {
		t.Errorf("%d bytes, %d refused", total, refused)
	}
	add(t, a, Member{Name: "small", From: "/small"}, []byte("small\n"))
	if m := a.Manifest().Members; m[len(m)-1].Name != "small" {
		t.Error("what is small enough has to go in still")
	}
}

type full struct{ room int }

func (f *full) Write(b []byte) (int, error) {
	if f.room -= len(b); f.room < 0 {
		return 0, errors.New("no space left")
	}
	return len(b), nil
}

func TestWriteThatFails(t *testing.T) {
	a := New("folder", made, nil, NewRedactor())
	add(t, a, Member{Name: "a", From: "/a"}, []byte("text\n"))
	var b bytes.Buffer
	if err := a.Write(&b); err != nil {
		t.Fatal(err)
	}
	for room := range b.Len() {
		if err := a.Write(&full{room}); err == nil {
			t.Errorf("no error where %d of %d bytes had room", room, b.Len())
		}
	}
}
