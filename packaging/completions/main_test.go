package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestCurrent wants the committed scripts to be those that the commands print.
func TestCurrent(t *testing.T) {
	dir := t.TempDir()
	if err := write(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	made, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(made) != len(commands)*len(shells) {
		t.Fatal(made, err)
	}
	for _, name := range made {
		want, err1 := os.ReadFile(name)
		got, err2 := os.ReadFile(filepath.Base(name))
		if err1 != nil || err2 != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what its command prints: make generate (%v, %v)", filepath.Base(name), err1, err2)
		}
	}
}
