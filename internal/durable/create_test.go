package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func content(w io.Writer) error {
	_, err := io.WriteString(w, "content")
	return err
}

func TestCreate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := Create(path, 0o604, content); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Lstat(path)
	if b, _ := os.ReadFile(path); err != nil || string(b) != "content" || fi.Mode() != 0o604 {
		t.Errorf("%q, %v, %v", b, fi, err)
	}
	wantNames(t, dir, "file")
}

func TestCreateReplacesNothing(t *testing.T) {
	for name, prepare := range map[string]func(path string) error{
		"a file":                func(p string) error { return os.WriteFile(p, []byte("former"), 0o600) },
		"a directory":           func(p string) error { return os.Mkdir(p, 0o700) },
		"a link that leads on":  func(p string) error { return os.Symlink("/etc/passwd", p) },
		"a link that does not":  func(p string) error { return os.Symlink("nowhere", p) },
		"what comes meanwhile":  nil,
		"a link that comes too": nil,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "file")
			write := content
			if prepare != nil {
				if err := prepare(path); err != nil {
					t.Fatal(err)
				}
			} else {
				write = func(w io.Writer) error { return errors.Join(content(w), os.Symlink("nowhere", path)) }
			}
			before, _ := os.Lstat(path)
			if err := Create(path, 0o600, write); !errors.Is(err, fs.ErrExist) {
				t.Errorf("%v, want fs.ErrExist", err)
			}
			after, err := os.Lstat(path)
			if err != nil || before != nil && !os.SameFile(before, after) {
				t.Errorf("%v, %v", after, err)
			}
			wantNames(t, dir, "file")
		})
	}
}

func TestCreateThatFailsLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	wrong := errors.New("no more room")
	err := Create(filepath.Join(dir, "file"), 0o600, func(w io.Writer) error { return errors.Join(content(w), wrong) })
	if !errors.Is(err, wrong) {
		t.Errorf("%v", err)
	}
	wantNames(t, dir)
}

// What is being written has no name that a person would take for the whole.
func TestCreateHidesTheHalf(t *testing.T) {
	dir := t.TempDir()
	err := Create(filepath.Join(dir, "file"), 0o600, func(w io.Writer) error {
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 1 {
			t.Fatal(entries, err)
		}
		fi, err := entries[0].Info()
		if name := entries[0].Name(); err != nil || name[0] != '.' || filepath.Ext(name) != NewSuffix || fi.Mode() != 0o600 {
			t.Errorf("%s, %v, %v", name, fi.Mode(), err)
		}
		return content(w)
	})
	if err != nil {
		t.Error(err)
	}
}

func wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if len(got) != len(want) || len(want) > 0 && got[0] != want[0] {
		t.Errorf("in the directory: %v, want %v", got, want)
	}
}
