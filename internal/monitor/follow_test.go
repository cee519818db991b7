package monitor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// follow collects lines until Follow ends.
func follow(t *testing.T, path string, fromStart bool) <-chan string {
	t.Helper()
	lines := make(chan string, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Follow(ctx, path, fromStart, func(b []byte) error { lines <- string(b); return nil })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Follow: %v", err)
		}
	})
	return lines
}

func want(t *testing.T, lines <-chan string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		select {
		case got := <-lines:
			if got != text {
				t.Fatalf("got line %.60q, want %.60q", got, text)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("line %.60q did not come", text)
		}
	}
}

func add(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func TestFollow(t *testing.T) {
	path := logPath(t)
	lines := follow(t, path, true)
	add(t, path, "first\nhalf") // the file comes only now
	want(t, lines, "first")
	add(t, path, " and half\n\nsecond\n")
	want(t, lines, "half and half", "second")

	if err := os.Rename(path, rotated(path)); err != nil {
		t.Fatal(err)
	}
	add(t, rotated(path), "late\n")
	add(t, path, "third\n")
	want(t, lines, "late", "third")

	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	add(t, path, "4\n")
	want(t, lines, "4")

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	add(t, path, "fifth\n")
	want(t, lines, "fifth")
}

func TestFollowFromStart(t *testing.T) {
	path := logPath(t)
	add(t, path, "old\n")
	want(t, follow(t, path, true), "old")
}

func TestFollowLeavesLongLinesOut(t *testing.T) {
	path := logPath(t)
	lines := follow(t, path, true)
	longest := strings.Repeat("x", MaxLine)
	add(t, path, "a\n"+longest+"\n"+longest+"x\n"+strings.Repeat(longest, 3)+"\nb\n")
	want(t, lines, "a", longest, "b")
}

// Two rotations between two looks: the file in the middle is path.1 then.
func TestFollowTwoRotations(t *testing.T) {
	path := logPath(t)
	add(t, path, "1\n")
	var got []string
	f := follower{path: path, tail: tail{line: func(b []byte) error { got = append(got, string(b)); return nil }}}
	defer f.tail.close()
	if err := errors.Join(f.start(true), f.look()); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"2\n", "3\n"} {
		os.Rename(path, rotated(path))
		add(t, path, text)
	}
	if err := f.look(); err != nil {
		t.Fatal(err)
	}
	if s := strings.Join(got, " "); s != "1 2 3" {
		t.Errorf("got %s, want 1 2 3", s)
	}
}

// Not fromStart, the line that is being written when Follow comes is not handed out as a half.
func TestFollowFromTheMiddleOfALine(t *testing.T) {
	path := logPath(t)
	add(t, path, "old\nhalf")
	var got []string
	f := follower{path: path, tail: tail{line: func(b []byte) error { got = append(got, string(b)); return nil }}}
	defer f.tail.close()
	if err := errors.Join(f.start(false), f.look()); err != nil {
		t.Fatal(err)
	}
	add(t, path, " line\nnew\n")
	if err := f.look(); err != nil {
		t.Fatal(err)
	}
	if s := strings.Join(got, " "); s != "new" {
		t.Errorf("got %q, want new", s)
	}
}

func TestFollowErrors(t *testing.T) {
	stop := errors.New("stop")
	path := logPath(t)
	add(t, path, "x\n")
	if err := Follow(t.Context(), path, true, func([]byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v, want the line function's error", err)
	}
	none := filepath.Join(path+".d", "x")
	if err := Follow(t.Context(), none, true, nil); err == nil || !strings.Contains(err.Error(), filepath.Dir(none)) {
		t.Errorf("error %v, expected one that names the missing directory", err)
	}
	if err := Follow(t.Context(), filepath.Dir(path), true, nil); err == nil {
		t.Error("a directory was followed")
	}
}

func FuzzTail(f *testing.F) {
	f.Add([]byte("a\nb"), 1)
	f.Add([]byte("\n\n\n"), 2)
	f.Fuzz(func(t *testing.T, b []byte, at int) {
		if len(b) == 0 {
			return
		}
		at = int(uint(at) % uint(len(b)))
		var got []string
		tl := tail{line: func(b []byte) error { got = append(got, string(b)); return nil }}
		if err := errors.Join(tl.split(b[:at]), tl.split(b[at:])); err != nil {
			t.Fatal(err)
		}
		var want []string
		parts := strings.Split(string(b), "\n")
		for _, p := range parts[:len(parts)-1] {
			if p != "" && len(p) <= MaxLine {
				want = append(want, p)
			}
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
