package installer

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// keeper is the shell that runs a tool as its child and lives exactly as long as the tool. It holds open what has to outlive this
// program: descriptor 3, where the tool's output could be read, since a pipe that nobody can read from any more would kill the tool in
// the middle of its work; and descriptor 4, the lock, so that the next program waits for the tool.
//
// The tool itself gets neither. Where SELinux gives it a domain of its own (useradd_t), the kernel takes away what that domain may not use,
// the lock among it, and writes a denial to the audit log each time (seen with Debian 12's policy); the shell stays in our domain. A pipe
// is what policies let a program hand to one of another domain.
//
// It waits out the signals that end the tool. The last command keeps it from becoming the tool, as shells do with a last command.
const keeper = `trap : HUP INT TERM; "$@" 3<&- 4<&-; exit $?`

// keep runs a tool below a keeper and returns what it said. Without input it reads /dev/null.
func (h *Host) keep(ctx context.Context, input, tool, path string, args []string) ([]byte, error) {
	out, err := newToolOutput()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", keeper, "sh", path}, args...)...)
	cmd.Env, cmd.Dir = toolEnviron, "/"
	if input != "" {
		cmd.Stdin = strings.NewReader(input)
	}
	cmd.Stdout, cmd.Stderr = out.write, out.write
	cmd.ExtraFiles = []*os.File{out.read}
	if h.lock != nil {
		cmd.ExtraFiles = append(cmd.ExtraFiles, h.lock.held.File())
	}
	// A session of its own: Ctrl-C at the terminal is for us, and no tool asks or stops at a terminal that it does not own.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	var grace *time.Timer
	cmd.Cancel = func() error {
		session := -cmd.Process.Pid
		grace = time.AfterFunc(toolGrace, func() {
			_ = syscall.Kill(session, syscall.SIGKILL) // ESRCH: it has ended by itself
		})
		return syscall.Kill(session, syscall.SIGTERM)
	}
	err = cmd.Start()
	out.collect()
	if err == nil {
		killpoint("tool-started:" + tool)
		err = cmd.Wait()
	}
	if grace != nil {
		grace.Stop()
	}
	return out.end(), err
}
