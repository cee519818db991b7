package selinux

import (
	"bytes"
	"context"
	"encoding/binary"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func message(typ uint16, payload uint32) []byte {
	b := binary.NativeEndian.AppendUint32(nil, unix.SizeofNlMsghdr+4)
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = append(b, make([]byte, 10)...) // flags, sequence, port
	return binary.NativeEndian.AppendUint32(b, payload)
}

func TestTellsChange(t *testing.T) {
	for name, c := range map[string]struct {
		datagram []byte
		want     bool
	}{
		"setenforce":   {message(msgSetEnforce, 1), true},
		"policy load":  {message(msgPolicyLoad, 3), true},
		"other":        {message(unix.NLMSG_NOOP, 0), false},
		"second":       {append(message(unix.NLMSG_NOOP, 0), message(msgPolicyLoad, 3)...), true},
		"empty":        {nil, false},
		"short header": {message(msgPolicyLoad, 3)[:8], false},
		"cut":          {message(msgPolicyLoad, 3)[:18], false},
		"zero length":  {make([]byte, 32), false},
	} {
		if got := tellsChange(c.datagram); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func FuzzTellsChange(f *testing.F) {
	f.Add(message(msgPolicyLoad, 3))
	f.Add(bytes.Repeat([]byte{0xff}, 40))
	f.Fuzz(func(t *testing.T, b []byte) { tellsChange(b) })
}

// TestWatchNetlink opens the real socket, and ends the watch by its context.
func TestWatchNetlink(t *testing.T) {
	f, err := listen()
	if err != nil {
		t.Skipf("the kernel has no SELinux netlink: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	done := make(chan error)
	begun := make(chan bool)
	go func() { done <- watchNetlink(ctx, f, func() { calls++; close(begun) }) }()
	<-begun
	cancel()
	select {
	case err := <-done:
		if err != nil || calls != 1 {
			t.Errorf("%d calls, %v", calls, err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the end of the context did not end the watch")
	}
}

func TestWatchStatus(t *testing.T) {
	page := make([]uint32, 5)
	raw := unsafe.Slice((*byte)(unsafe.Pointer(&page[0])), statusSize)
	ctx, cancel := context.WithCancel(t.Context())
	tick, calls, done := make(chan time.Time), make(chan bool), make(chan bool)
	states := make(chan status, 8)
	go func() {
		watchStatus(ctx, func() status { return <-states }, tick, func() { calls <- true })
		close(done)
	}()
	step := func(change func(), want bool) {
		t.Helper()
		change()
		states <- readStatus(raw)
		tick <- time.Time{}
		if want {
			<-calls
		}
	}
	states <- readStatus(raw)
	<-calls // the watch has begun
	step(func() {}, false)
	step(func() { page[1], page[3] = 2, 1 }, true) // policy load
	step(func() {}, false)
	step(func() { page[1], page[2] = 4, 1 }, true) // setenforce
	cancel()
	<-done
}

func TestLockOwner(t *testing.T) {
	const table = `1: POSIX  ADVISORY  WRITE 100 fe:01:131 0 EOF
2: FLOCK  ADVISORY  WRITE 200 fe:01:131 0 EOF
2: -> FLOCK  ADVISORY  WRITE 201 fe:01:131 0 EOF
3: FLOCK  ADVISORY  READ  300 00:2a:777 0 EOF
4: FLOCK  ADVISORY  WRITE -1 fe:01:888 0 EOF
garbage
`
	for _, c := range []struct {
		major, minor uint32
		inode        uint64
		want         int
	}{{0xfe, 1, 131, 200}, {0xfe, 2, 131, 200}, {0, 0x30, 777, 300}, {0xfe, 1, 888, 0}, {0xfe, 1, 132, 0}} {
		if got := lockOwner(bytes.NewReader([]byte(table)), unix.Mkdev(c.major, c.minor), c.inode); got != c.want {
			t.Errorf("%x:%x:%d: process %d, want %d", c.major, c.minor, c.inode, got, c.want)
		}
	}
}
