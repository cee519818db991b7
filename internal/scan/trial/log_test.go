package trial

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestOpenLogFollowsNobody: the log's folder may be writable by others, which is what fault 5 can be about, and root opens the log before that is mended.
func TestOpenLogFollowsNobody(t *testing.T) {
	dir := t.TempDir()
	link, fifo, file := filepath.Join(dir, "link"), filepath.Join(dir, "fifo"), filepath.Join(dir, "file")
	if err := errors.Join(os.Symlink(filepath.Join(dir, "shadow"), link), unix.Mkfifo(fifo, 0o600)); err != nil {
		t.Fatal(err)
	}
	for path, opens := range map[string]bool{link: false, fifo: false, file: true} {
		done := make(chan error, 1)
		go func() {
			f, err := OpenLog(path)
			f.Close()
			done <- err
		}()
		select {
		case err := <-done:
			if (err == nil) != opens {
				t.Errorf("%s: %v", path, err)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%s: it is waited for somebody to read it", path)
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, "shadow")); err == nil {
		t.Error("a file was made where the link leads")
	}
}

// TestOpenLogThatIsRead: a FIFO that somebody reads is no log either.
func TestOpenLogThatIsRead(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(fifo, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if f, err := OpenLog(fifo); err == nil {
		f.Close()
		t.Error("it is opened")
	}
}
