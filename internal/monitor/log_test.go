package monitor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func openLog(t *testing.T, path string, cap int64) *Log {
	t.Helper()
	l, err := OpenLog(path, cap)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func logPath(t *testing.T) string { return filepath.Join(t.TempDir(), "events.jsonl") }

// pids reads the log back.
func pids(t *testing.T, path string) (got []uint32) {
	t.Helper()
	err := ReadLog(path, func(b []byte) error {
		r, err := ParseLine(b)
		if err != nil {
			return err
		}
		got = append(got, r.Process.PID)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func appendPID(t *testing.T, l *Log, pid uint32) {
	t.Helper()
	e := execEvent("/bin/true", "true")
	e.Process.PID = pid
	if err := l.Append(&e); err != nil {
		t.Fatal(err)
	}
}

func TestLogModeAndLatency(t *testing.T) {
	old := unix.Umask(0)
	defer unix.Umask(old)
	path := logPath(t)
	l := openLog(t, path, MinLogCap)
	if fi, err := os.Stat(path); err != nil || fi.Mode() != logMode {
		t.Fatalf("mode %v, error %v, expected %o", fi.Mode(), err, logMode)
	}
	seen := make(chan struct{})
	go Follow(t.Context(), path, true, func([]byte) error { close(seen); return nil })
	start := time.Now()
	appendPID(t, l, 1)
	select {
	case <-seen:
	case <-time.After(5 * time.Second):
		t.Fatal("the event was not written")
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("written after %v, expected about %v", d, logLatency)
	}
}

func TestLogLoosensNoMode(t *testing.T) {
	path := logPath(t)
	os.WriteFile(path, nil, 0o666)
	os.Chmod(path, 0o666)
	openLog(t, path, MinLogCap)
	if fi, _ := os.Stat(path); fi.Mode() != logMode {
		t.Errorf("mode %v, expected %o", fi.Mode(), logMode)
	}
}

func TestLogRefuses(t *testing.T) {
	dir := t.TempDir()
	link, fifo := filepath.Join(dir, "link"), filepath.Join(dir, "fifo")
	os.WriteFile(filepath.Join(dir, "target"), nil, 0o600)
	os.Symlink("target", link)
	unix.Mkfifo(fifo, 0o600)
	for name, tt := range map[string]struct {
		path string
		cap  int64
	}{
		"symbolic link": {link, MinLogCap},
		"fifo":          {fifo, MinLogCap},
		"directory":     {dir, MinLogCap},
		"no directory":  {filepath.Join(dir, "none", "x"), MinLogCap},
		"small cap":     {filepath.Join(dir, "x"), MinLogCap - 1},
	} {
		t.Run(name, func(t *testing.T) {
			if l, err := OpenLog(tt.path, tt.cap); err == nil {
				l.Close()
				t.Error("no error")
			} else if !strings.Contains(err.Error(), tt.path) {
				t.Errorf("error %q does not name %s", err, tt.path)
			}
		})
	}
}

func TestLogRotates(t *testing.T) {
	path := logPath(t)
	l := openLog(t, path, MinLogCap)
	const events = 10_000
	for i := range uint32(events) {
		appendPID(t, l, i)
		if i%100 == 0 {
			if n := size(path) + size(rotated(path)); n > MinLogCap {
				t.Fatalf("%d bytes, cap %d", n, MinLogCap)
			}
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	got := pids(t, path)
	if len(got) < 500 || got[len(got)-1] != events-1 {
		t.Fatalf("%d events, the last %v", len(got), got[len(got)-1:])
	}
	for i, pid := range got {
		if pid != got[0]+uint32(i) {
			t.Fatalf("event %d is %d, expected %d", i, pid, got[0]+uint32(i))
		}
	}
	if l.Dropped() != 0 {
		t.Errorf("%d dropped", l.Dropped())
	}
	if size(rotated(path)) == 0 {
		t.Error("not rotated")
	}
}

func size(path string) int64 {
	fi, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return fi.Size()
}

// A rotation while the log is read takes no lines away from the reader.
func TestLogRotatedWhileItIsRead(t *testing.T) {
	path := logPath(t)
	for name, content := range map[string]string{rotated(path): "1\n2\n", path: "3\n4\n"} {
		if err := os.WriteFile(name, []byte(content), logMode); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	err := ReadLog(path, func(line []byte) error {
		got = append(got, string(line))
		if len(got) > 1 {
			return nil
		}
		return errors.Join(os.Rename(path, rotated(path)), os.WriteFile(path, []byte("5\n"), logMode))
	})
	if want := "1 2 3 4"; err != nil || strings.Join(got, " ") != want {
		t.Errorf("read %v, %v; expected %s", got, err, want)
	}
}

func TestLogGoesOnAfterTornLine(t *testing.T) {
	path := logPath(t)
	os.WriteFile(path, []byte(`{"class_uid":`), 0o640)
	l := openLog(t, path, MinLogCap)
	appendPID(t, l, 7)
	l.Close()
	b, _ := os.ReadFile(path)
	first, rest, _ := strings.Cut(string(b), "\n")
	if first != `{"class_uid":` || !strings.HasPrefix(rest, `{"time"`) {
		t.Errorf("got %q", b)
	}
}

func TestLogFollowsItsPath(t *testing.T) {
	for name, move := range map[string]func(path string) error{
		"removed": os.Remove,
		"renamed": func(path string) error { return os.Rename(path, path+".old") },
	} {
		t.Run(name, func(t *testing.T) {
			path := logPath(t)
			l := openLog(t, path, MinLogCap)
			appendPID(t, l, 1)
			l.Flush()
			if err := move(path); err != nil {
				t.Fatal(err)
			}
			appendPID(t, l, 2)
			l.Flush()
			if got := pids(t, path); len(got) != 1 || got[0] != 2 {
				t.Errorf("got %v, want [2]", got)
			}
		})
	}
}

// A full disk is a small tmpfs.
func TestLogFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=32k"); err != nil {
		t.Skipf("needs the right to mount a tmpfs: %v", err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	path := filepath.Join(dir, "events.jsonl")
	l := openLog(t, path, MinLogCap)
	var failed error
	const events = 1000
	for i := range uint32(events) {
		e := execEvent("/bin/true", "true")
		e.Process.PID = i
		if err := l.Append(&e); err != nil {
			failed = err
		}
	}
	if err := l.Flush(); err != nil {
		failed = err
	}
	if !errors.Is(failed, unix.ENOSPC) {
		t.Errorf("error %v, expected ENOSPC", failed)
	}
	if b, err := os.ReadFile(path); err != nil || len(b) == 0 || b[len(b)-1] != '\n' {
		t.Errorf("%d bytes (error %v), expected whole lines only", len(b), err)
	}
	if err := l.Failing(); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("failing by %v, expected ENOSPC", err)
	}
	got := pids(t, path)
	if n := uint64(len(got)) + l.Dropped(); n != events {
		t.Errorf("%d written + %d dropped = %d, expected %d", len(got), l.Dropped(), n, events)
	}
	os.Truncate(path, 0)
	appendPID(t, l, 12345)
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := pids(t, path); len(got) != 1 || got[0] != 12345 {
		t.Errorf("after room was made: %v", got)
	}
	if err := l.Failing(); err != nil {
		t.Errorf("after room was made it is failing by %v", err)
	}
}

func TestLogClosed(t *testing.T) {
	l := openLog(t, logPath(t), MinLogCap)
	if err := errors.Join(l.Close(), l.Close()); err != nil {
		t.Error(err)
	}
	e := exitEvent(0, 0)
	if err := l.Append(&e); !errors.Is(err, fs.ErrClosed) || l.Dropped() != 1 {
		t.Errorf("error %v, dropped %d", err, l.Dropped())
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	l := openLog(t, logPath(t), MinLogCap)
	e := execEvent("/usr/bin/gcc", "gcc", "-c", "a b")
	if n := testing.AllocsPerRun(2000, func() { l.Append(&e) }); n > 0 {
		t.Errorf("%v allocations an event", n)
	}
}

func ExampleParseLine() {
	r, err := ParseLine([]byte(`{"time":0,"class_uid":1007,"activity_id":1,"process":{"pid":42,"cmd_line":"ls -l","user":{"uid":"0"}}}`))
	fmt.Println(r.Kind, r.Process.PID, r.Args, err)
	// Output: exec 42 [ls -l] <nil>
}

func TestSetCap(t *testing.T) {
	path := t.TempDir() + "/events.jsonl"
	l, err := OpenLog(path, 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.SetCap(MinLogCap - 1); err == nil {
		t.Error("a cap below the smallest one was taken")
	}
	if err := l.SetCap(MinLogCap); err != nil {
		t.Fatal(err)
	}
	e := execEvent("/bin/" + strings.Repeat("x", 4000))
	for range 2 * MinLogCap / 4000 {
		if err := l.Append(&e); err != nil {
			t.Fatal(err)
		}
	}
	l.Flush()
	if bytes := size(path) + size(rotated(path)); bytes > MinLogCap {
		t.Errorf("%d bytes, expected at most %d", bytes, MinLogCap)
	}
}
