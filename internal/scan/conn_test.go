package scan

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ends are both ends of a connection, and the service's as a file, to send over what a Conn would not.
func ends(t *testing.T) (daemon, service *Conn, raw int) {
	t.Helper()
	daemon, file, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	raw, err = unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	if service, err = NewConn(fd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		daemon.Close()
		service.Close()
		unix.Close(raw)
	})
	return daemon, service, raw
}

func openFile(t *testing.T, content string) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.WriteString(content); err != nil {
		t.Fatal(err)
	}
	return f
}

// descriptorsOpen counts those of this process.
func descriptorsOpen(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestDescriptorsArePassed(t *testing.T) {
	daemon, service, _ := ends(t)
	if err := daemon.Send(someRequest, openFile(t, "content")); err != nil {
		t.Fatal(err)
	}
	r, f, err := service.Receive()
	if err != nil || r != someRequest {
		t.Fatalf("%+v, %v", r, err)
	}
	defer f.Close()
	b := make([]byte, 16)
	if n, err := f.ReadAt(b, 0); string(b[:n]) != "content" || !errors.Is(err, io.EOF) {
		t.Errorf("read %q, %v", b[:n], err)
	}
	if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags of the descriptor %#x, %v: a program that is executed would have it", flags, err)
	}
	if err := service.SendAnswer(someAnswers[1]); err != nil {
		t.Fatal(err)
	}
	if err := service.SendReport(someReports[0]); err != nil {
		t.Fatal(err)
	}
	if m, err := daemon.ReceiveMessage(); err != nil || m.Answer == nil || *m.Answer != someAnswers[1] || m.Report != nil {
		t.Errorf("%+v, %v", m, err)
	}
	if m, err := daemon.ReceiveMessage(); err != nil || m.Report == nil || *m.Report != someReports[0] || m.Answer != nil {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestWrongMessagesAreErrorsAndLeakNothing(t *testing.T) {
	request, err := encodeRequest(someRequest)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := encodeAnswer(someAnswers[0])
	if err != nil {
		t.Fatal(err)
	}
	f := openFile(t, "")
	rights := func(n int) []byte {
		fds := make([]int, n)
		for i := range fds {
			fds[i] = int(f.Fd())
		}
		return unix.UnixRights(fds...)
	}
	for _, tt := range []struct {
		name          string
		toDaemon      bool
		message, more []byte
	}{
		{"request without a descriptor", false, request, nil},
		{"request with two", false, request, rights(2)},
		{"request with more than there is room for", false, request, rights(20)},
		{"rubbish with a descriptor", false, []byte("rubbish"), rights(1)},
		{"too long, with a descriptor", false, make([]byte, MaxMessage+1), rights(1)},
		{"answer to the service", false, answer, rights(1)},
		{"answer with a descriptor", true, answer, rights(1)},
		{"answer with many", true, answer, rights(100)},
		{"request to the daemon", true, request, nil},
		{"answer, too long", true, append(answer, make([]byte, 2*MaxMessage)...), nil},
		{"rubbish", true, []byte{0xff}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			daemon, service, raw := ends(t)
			from := int(daemon.f.Fd())
			if tt.toDaemon {
				from = raw
			}
			before := descriptorsOpen(t)
			if err := unix.Sendmsg(from, tt.message, tt.more, nil, 0); err != nil {
				t.Fatal(err)
			}
			var err error
			if tt.toDaemon {
				_, err = daemon.ReceiveMessage()
			} else {
				_, _, err = service.Receive()
			}
			if !errors.Is(err, ErrMessage) {
				t.Errorf("error %v, expected one that says that this is no message", err)
			}
			if after := descriptorsOpen(t); after != before {
				t.Errorf("%d descriptors are open, before %d", after, before)
			}
		})
	}
}

func TestEndOfTheOtherSide(t *testing.T) {
	t.Run("closed", func(t *testing.T) {
		daemon, service, raw := ends(t)
		service.Close()
		unix.Close(raw)
		if _, err := daemon.ReceiveMessage(); !errors.Is(err, io.EOF) {
			t.Errorf("receive: %v", err)
		}
		if err := daemon.Send(someRequest, openFile(t, "")); !errors.Is(err, unix.EPIPE) {
			t.Errorf("send: %v", err)
		}
	})
	t.Run("closed with requests unread", func(t *testing.T) {
		daemon, service, raw := ends(t)
		if err := daemon.Send(someRequest, openFile(t, "")); err != nil {
			t.Fatal(err)
		}
		service.Close()
		unix.Close(raw)
		if _, err := daemon.ReceiveMessage(); !errors.Is(err, io.EOF) {
			t.Errorf("receive: %v", err)
		}
	})
	t.Run("closed here while waiting", func(t *testing.T) {
		daemon, _, _ := ends(t)
		done := make(chan error)
		go func() { _, err := daemon.ReceiveMessage(); done <- err }()
		daemon.Close()
		if err := <-done; !errors.Is(err, os.ErrClosed) {
			t.Errorf("receive: %v", err)
		}
	})
}

// A service that hangs does not read; the daemon must not hang with it.
func TestSendDeadline(t *testing.T) {
	daemon, _, _ := ends(t)
	f := openFile(t, "")
	if err := daemon.SetSendDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	for range 10_000 {
		if err := daemon.Send(someRequest, f); err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error(err)
			}
			return
		}
	}
	t.Error("all was sent though nothing was read")
}

func TestManyAtOnce(t *testing.T) {
	daemon, service, _ := ends(t)
	f := openFile(t, "")
	const each, senders = 200, 4
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for range each {
				r, file, err := service.Receive()
				if err != nil {
					t.Error(err)
					return
				}
				file.Close()
				if err := service.SendAnswer(Answer{ID: r.ID, Result: Clean}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for s := range uint64(senders) {
		wg.Go(func() {
			for i := range uint64(each) {
				if err := daemon.Send(Request{ID: 1 + s*each + i}, f); err != nil {
					t.Error(err)
				}
			}
		})
	}
	seen := map[uint64]bool{}
	for range each * senders {
		m, err := daemon.ReceiveMessage()
		if err != nil {
			t.Fatal(err)
		}
		seen[m.Answer.ID] = true
	}
	wg.Wait()
	if len(seen) != each*senders {
		t.Errorf("%d answers, expected %d", len(seen), each*senders)
	}
}

func TestOnlySocketsOfThatKind(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[1])
	if c, err := NewConn(fds[0]); err == nil {
		c.Close()
		t.Error("a stream is taken")
	}
	f := openFile(t, "")
	fd, err := unix.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	if c, err := NewConn(fd); err == nil {
		c.Close()
		t.Error("a file is taken")
	}
}
