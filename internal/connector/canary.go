package connector

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/ampconnector/amp/internal/control"
)

const (
	canaryPatience = 5 * time.Second
	canaryPeriod   = 5 * time.Minute
)

// canaryResult is what became of a canary, and of which feed it was.
type canaryResult struct {
	feed   *feed
	canary control.Canary
}

// sendCanary causes one exec and waits for its event. It ends early, with an error, when ctx does.
func (c *core) sendCanary(ctx context.Context, f *feed) (control.Canary, error) {
	token := "amp-" + rand.Text()
	arrived := f.await(token)
	sent := c.Now()
	result := control.Canary{Time: sent.UTC()}
	childCtx, cancel := context.WithTimeout(ctx, canaryPatience)
	defer cancel()
	pid, err := c.RunChild(childCtx, token)
	if ctx.Err() != nil {
		return result, ctx.Err()
	}
	if err != nil {
		result.Detail = fmt.Sprintf("the canary could not be run: %v", err)
		return result, nil
	}
	select {
	case a := <-arrived:
		result.Milliseconds = float64(c.Now().Sub(sent).Microseconds()) / 1000
		result.OK, result.Detail = a.judge(pid, os.Getpid(), c.ForeignPIDs)
	case <-c.After(canaryPatience):
		result.Detail = fmt.Sprintf("process %d was run, and no event of it came within %v", pid, canaryPatience)
	case <-ctx.Done():
		return result, ctx.Err()
	}
	return result, nil
}

// judge compares what the event said with what was done. Where the kernel numbers processes otherwise than this process does, only the
// token, which nobody else knows, can tell.
func (a arrival) judge(pid, ppid int, foreign bool) (bool, string) {
	switch {
	case foreign:
		return true, fmt.Sprintf("exec of process %d, which the kernel numbers %d", pid, a.pid)
	case int(a.pid) != pid || int(a.ppid) != ppid:
		return false, fmt.Sprintf("the event came from process %d with parent %d, expected %d with parent %d", a.pid, a.ppid, pid, ppid)
	}
	return true, fmt.Sprintf("exec of process %d", pid)
}

// firstPIDNamespace is the inode of the namespace that the kernel starts with (PROC_PID_INIT_INO, include/linux/proc_ns.h).
const firstPIDNamespace = "pid:[4026531836]"

// foreignPIDs reports whether this process runs in a PID namespace of its own, as in a container. Where that cannot be read, it does not:
// the canary then says so if it is wrong.
func foreignPIDs() bool {
	namespace, err := os.Readlink("/proc/self/ns/pid")
	return err == nil && namespace != firstPIDNamespace
}

// runChild runs "program canary token", which does nothing, and waits for its end.
func runChild(ctx context.Context, program, token string) (int, error) {
	cmd := exec.CommandContext(ctx, program, "canary", token)
	cmd.Env = []string{} // not the parent's: NOTIFY_SOCKET is not for it
	cmd.Dir = "/"
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%s canary: %w", program, err)
	}
	return cmd.Process.Pid, err
}
