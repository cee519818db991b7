package installer

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxOutput bounds what is kept of a tool's output, in bytes: the last ones, where the reason of a failure stands.
const maxOutput = 1 << 20

// toolOutput is the pipe that a tool writes to.
type toolOutput struct {
	read, write *os.File
	done        chan struct{} // closed when nothing is being read any more
	said        []byte
}

func newToolOutput() (*toolOutput, error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	// Should this program be killed, nobody empties the pipe, and a tool that fills it would wait for ever with the lock held. No tool
	// that is run here says that much. An error leaves the pipe at its 64 KiB (pipe(7)).
	_, _ = unix.FcntlInt(uintptr(p[1]), unix.F_SETPIPE_SZ, maxOutput)
	// The tool's end blocks. Ours stays as it is even when it is handed to the keeper, and so takes a deadline.
	if err := unix.SetNonblock(p[1], false); err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return &toolOutput{os.NewFile(uintptr(p[0]), "output of a tool"), os.NewFile(uintptr(p[1]), "output of a tool"), make(chan struct{}), nil}, nil
}

// close is for a pipe that no tool got.
func (o *toolOutput) close() error { return errors.Join(o.read.Close(), o.write.Close()) }

// collect reads what the tool says while it runs. From now on only the tool has the other end.
func (o *toolOutput) collect() {
	o.write.Close()
	go func() {
		defer close(o.done)
		b := make([]byte, 32<<10)
		for {
			n, err := o.read.Read(b)
			o.add(b[:n])
			if err != nil {
				return
			}
		}
	}()
}

// add keeps the last maxOutput bytes, and some more while it collects.
func (o *toolOutput) add(b []byte) {
	o.said = append(o.said, b...)
	if len(o.said) > 2*maxOutput {
		o.said = append(o.said[:0], o.said[len(o.said)-maxOutput:]...)
	}
}

// end returns what was said when the tool had ended. A process that it left behind (a cache daemon, say) may have the pipe open for ever.
func (o *toolOutput) end() []byte {
	o.read.SetReadDeadline(time.Unix(1, 0))
	<-o.done
	o.read.SetReadDeadline(time.Time{})
	if c, err := o.read.SyscallConn(); err == nil {
		c.Read(o.drain)
	}
	o.read.Close()
	return o.said[max(0, len(o.said)-maxOutput):]
}

// drain reads what is in the pipe, at most maxOutput bytes, and does not wait for more.
func (o *toolOutput) drain(fd uintptr) (done bool) {
	b := make([]byte, 32<<10)
	for left := maxOutput; left > 0; {
		n, err := syscall.Read(int(fd), b)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			break
		}
		o.add(b[:n])
		left -= n
	}
	return true
}
