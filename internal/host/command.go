package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// askTimeout bounds a question to a program: a name service whose server is away may never answer.
const askTimeout = 3 * time.Second

// maxAnswer bounds what is kept of a program's output.
const maxAnswer = 1 << 20

// errNoTool says that a program that could answer is not installed.
var errNoTool = errors.New("not installed")

// ask runs a tool of the running host that only answers questions. Its exit status is returned beside its output; err means
// that there was no answer.
func ask(ctx context.Context, r Root, tool string, args ...string) (output []byte, status int, err error) {
	return askFor(ctx, r, askTimeout, tool, args...)
}

// askFor is ask with a patience of its own.
func askFor(ctx context.Context, r Root, patience time.Duration, tool string, args ...string) (output []byte, status int, err error) {
	output, _, status, err = askWhy(ctx, r, patience, nil, tool, args...)
	return output, status, err
}

// askWhy is askFor with more in the tool's environment, and with what it says beside its answer, on its standard error.
func askWhy(ctx context.Context, r Root, patience time.Duration, environ []string, tool string, args ...string) (output, beside []byte, status int, err error) {
	path, ok := FindTool(r, tool)
	if !ok {
		return nil, nil, 0, fmt.Errorf("%s: %w", tool, errNoTool)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append([]string{"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, environ...)
	cmd.WaitDelay = time.Second
	out, said := &bounded{limit: maxAnswer}, &bounded{limit: maxAnswer}
	cmd.Stdout, cmd.Stderr = out, said
	err = cmd.Run()
	what := strings.Join(append([]string{tool}, args...), " ")
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, nil, 0, fmt.Errorf("%s: no answer: %w", what, ctx.Err())
	case errors.As(err, &exit) && exit.Exited():
		return out.Bytes(), said.Bytes(), exit.ExitCode(), nil
	case err != nil:
		return nil, nil, 0, fmt.Errorf("%s: %w", what, err)
	}
	return out.Bytes(), said.Bytes(), 0, nil
}

// bounded keeps the first bytes that are written to it.
type bounded struct {
	bytes.Buffer
	limit int
}

func (b *bounded) Write(p []byte) (int, error) {
	if room := b.limit - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
