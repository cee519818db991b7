package connector

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/ampconnector/amp/internal/monitor"
)

// Child is the canary's process: it was executed with the token in its arguments, and waits.
type Child interface {
	PID() int // as this process sees it
	// Act lets it act, and waits for its end. It returns the kinds that it did.
	Act() (did monitor.Kinds, err error)
	// End ends it, whatever it does. It may be called after Act too.
	End()
}

// canaryDirectory is where the canary makes its files: it is the daemon's own, and on a disk.
const canaryDirectory = "/var/lib/cisco/amp"

// childProcess runs "PROGRAM canary TOKEN DIRECTORY", which calls ActAsCanary.
type childProcess struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	cancel context.CancelFunc
	ended  bool
}

func startChild(ctx context.Context, program, token, directory string) (Child, error) {
	ctx, cancel := context.WithCancel(ctx)
	c := &childProcess{cmd: exec.CommandContext(ctx, program, "canary", token, directory), cancel: cancel}
	c.cmd.Env = []string{} // not the parent's: NOTIFY_SOCKET is not for it
	c.cmd.Dir = "/"
	c.cmd.WaitDelay = time.Second
	in, err := c.cmd.StdinPipe()
	if err != nil {
		cancel()
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		cancel()
		return nil, err
	}
	c.in, c.out = in, bufio.NewReader(io.LimitReader(out, 4096))
	if err := c.cmd.Start(); err != nil {
		cancel()
		return nil, err
	}
	return c, nil
}

// PID implements Child.
func (c *childProcess) PID() int { return c.cmd.Process.Pid }

// Act implements Child.
func (c *childProcess) Act() (monitor.Kinds, error) {
	_, err := io.WriteString(c.in, "\n")
	line := ""
	if err == nil {
		line, err = c.out.ReadString('\n')
	}
	c.ended = true
	if waited := c.cmd.Wait(); waited != nil {
		err = waited
	}
	if err != nil {
		return 0, fmt.Errorf("%s canary: %w", c.cmd.Path, err)
	}
	return parseReport(line)
}

// End implements Child.
func (c *childProcess) End() {
	c.cancel()
	if !c.ended {
		c.ended = true
		_ = c.cmd.Wait() // it was killed, and says so
	}
}

// parseReport reads the line that the child wrote: the kinds.
func parseReport(line string) (did monitor.Kinds, err error) {
	for word := range strings.FieldsSeq(line) {
		k, err := monitor.ParseKind(word)
		if err != nil {
			return 0, fmt.Errorf("the canary's report: %w", err)
		}
		did |= monitor.KindsOf(k)
	}
	return did, nil
}

// firstPIDNamespace is the inode of the namespace that the kernel starts with (PROC_PID_INIT_INO, include/linux/proc_ns.h).
const firstPIDNamespace = "pid:[4026531836]"

// foreignPIDs reports whether this process runs in a PID namespace of its own, as in a container. Where that cannot be read, it does not:
// the canary then says so if it is wrong.
func foreignPIDs() bool {
	namespace, err := os.Readlink("/proc/self/ns/pid")
	return err == nil && namespace != firstPIDNamespace
}
