package installer

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// keeper is the shell that runs a tool as its child and lives exactly as long as the tool. It holds open what has to outlive this
// program: descriptors from 3, where the tool's output could be read, since a pipe that nobody can read from any more would kill the tool in
// the middle of its work; and behind them the lock, so that the next program waits for the tool.
//
// The tool itself gets none of these. Where SELinux gives it a domain of its own (useradd_t), the kernel takes away what that domain may not use,
// the lock among it, and writes a denial to the audit log each time (seen with Debian 12's policy); the shell stays in our domain. A pipe
// is what policies let a program hand to one of another domain.
//
// It waits out the signals that end the tool. The last command keeps it from becoming the tool, as shells do with a last command.
const keeper = `trap : HUP INT TERM; "$@" 3<&- 4<&- 5<&-; exit $?`

// keeping is a tool to be run below a keeper.
type keeping struct {
	input      string // what it reads; without one it reads /dev/null
	tool, path string
	args       []string
	environ    []string // beside toolEnviron
	apart      bool     // its standard error has a pipe of its own
}

// keep runs a tool below a keeper and returns what it said: both streams together, or, apart, what it complained of beside it.
func (h *Host) keep(ctx context.Context, k keeping) (said, complaints []byte, err error) {
	out, err := newToolOutput()
	if err != nil {
		return nil, nil, err
	}
	outputs := []*toolOutput{out, out}
	if k.apart {
		if outputs[1], err = newToolOutput(); err != nil {
			return nil, nil, errors.Join(err, out.close())
		}
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", keeper, "sh", k.path}, k.args...)...)
	cmd.Env, cmd.Dir = slices.Concat(toolEnviron, k.environ), "/"
	if k.input != "" {
		cmd.Stdin = strings.NewReader(k.input)
	}
	cmd.Stdout, cmd.Stderr = outputs[0].write, outputs[1].write
	outputs = slices.Compact(outputs)
	for _, o := range outputs {
		cmd.ExtraFiles = append(cmd.ExtraFiles, o.read)
	}
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
	for _, o := range outputs {
		o.collect()
	}
	if err == nil {
		killpoint("tool-started:" + k.tool)
		err = cmd.Wait()
	}
	if grace != nil {
		grace.Stop()
	}
	if k.apart {
		complaints = outputs[1].end()
	}
	return out.end(), complaints, err
}
