package wakeup

import (
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const patience = 20 * time.Second

// newSleeper gives one of an eventfd(2), which is the sleeper's.
func newSleeper(t *testing.T) (s *Sleeper, fd int) {
	t.Helper()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	if s, err = New(fd, "events"); err != nil {
		t.Fatal(err)
	}
	return s, fd
}

// A sleep without end is over when enough is there, when the kernel wakes it, when it is ended, and when it is closed.
func TestSleeper(t *testing.T) {
	s, fd := newSleeper(t)
	for _, tt := range []struct {
		name   string
		enough bool
		wake   func()
		want   error
	}{
		{"enough is there", true, func() {}, nil},
		{"woken", false, func() {
			if _, err := unix.Write(fd, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
				t.Error(err)
			}
		}, nil},
		{"woken by hand", false, s.Wake, nil},
		{"ended", false, s.End, nil},
		{"ended before", false, func() {}, nil},
		{"closed", false, func() { s.Close() }, os.ErrClosed},
	} {
		if tt.name == "closed" {
			s.Begin()
		}
		done, asked := make(chan error, 1), make(chan struct{})
		go func() {
			done <- s.Sleep(time.Hour, func() bool { close(asked); return tt.enough })
		}()
		if !s.ended.Load() {
			select {
			case <-asked:
			case <-time.After(patience):
				t.Fatalf("%s: it sleeps without asking", tt.name)
			}
		}
		tt.wake()
		select {
		case err := <-done:
			if !errors.Is(err, tt.want) {
				t.Errorf("%s: error %v, expected %v", tt.name, err, tt.want)
			}
		case <-time.After(patience):
			t.Fatalf("%s: it still sleeps", tt.name)
		}
	}
}

// Who is woken between two sleeps does not sleep the next time, and then does again.
func TestWokenBeforeASleep(t *testing.T) {
	s, _ := newSleeper(t)
	defer s.Close()
	s.Wake()
	for _, tt := range []struct {
		longest time.Duration
		asks    int // whether there is enough
	}{{time.Hour, 0}, {time.Millisecond, 1}} {
		asked := 0
		if err := s.Sleep(tt.longest, func() bool { asked++; return false }); err != nil || asked != tt.asks {
			t.Errorf("asked %d times, expected %d; error %v", asked, tt.asks, err)
		}
	}
}

func TestSleeperOfWhatCannotBePolled(t *testing.T) {
	fd, err := unix.Open(t.TempDir(), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(fd, "folder"); err == nil {
		t.Error("a folder was taken for something that can be polled")
	}
}
