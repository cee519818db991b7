package selinux

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// asNobody runs f on a thread whose file system access is that of an ordinary user. The thread ends with f.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the runtime then ends the thread
		_, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), 65534, ^uintptr(0))
		if errno != 0 {
			done <- errno
			return
		}
		defer close(done)
		f()
	}()
	if err := <-done; err != nil {
		t.Skipf("cannot become an ordinary user: %v", err)
	}
}
