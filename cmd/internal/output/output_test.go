package output

import (
	"errors"
	"io"
	"os"
	"syscall"
	"testing"
)

func TestFailed(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r.Close()
	for _, c := range []struct {
		to   io.Writer
		want error
	}{{io.Discard, nil}, {full, syscall.ENOSPC}, {w, nil}} {
		o := To(c.to)
		for range 2 {
			_, _ = io.WriteString(o, "text")
		}
		if err := o.Failed(); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%v, expected %v", err, c.want)
		}
	}
}
