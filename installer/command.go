package installer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ampconnector/amp/internal/host"
)

// toolEnviron is what tools are run with, whatever the program's own environment is: package scriptlets have odd ones. Package managers get its proxies
// beside (fetch).
var toolEnviron = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "HOME=/root", "TERM=dumb"}

// toolGrace is how long a tool that was told to end may take before it is killed.
const toolGrace = 10 * time.Second

// Run runs a tool of the host and returns its output, both streams together. The tool is looked for below the root, and for a
// root that has none of its own (an image being put together) among this machine's; in both cases it runs on this machine,
// so that the caller's arguments name the root as the tool wants it. The error has the command and the last line of output.
//
// Should this program be killed, the tool goes on to its end, and the lock, if this program holds it, stays held until then: the
// next program waits, and does not undo what is still being done.
func (h *Host) Run(ctx context.Context, tool string, args ...string) ([]byte, error) {
	return h.answer(ctx, "", tool, args...)
}

// fetch is Run for a tool that has to reach the repositories of packages: with the proxies of this program's environment, if it has any.
func (h *Host) fetch(ctx context.Context, tool string, args ...string) ([]byte, error) {
	said, _, err := h.call(ctx, keeping{tool: tool, args: args, environ: host.ProxyEnvironment()})
	return said, toolError(ctx, commandLine(tool, args), said, err)
}

// Ask is Run for an answer that is parsed: standard output alone. What a tool warns of on the other stream is for the log and the error.
func (h *Host) Ask(ctx context.Context, tool string, args ...string) ([]byte, error) {
	answer, complaints, err := h.call(ctx, keeping{tool: tool, args: args, apart: true})
	if err != nil && lastOutputLine(complaints) == "" {
		complaints = answer
	}
	return answer, toolError(ctx, commandLine(tool, args), complaints, err)
}

// answer is Run with what the tool is to read on its standard input, which no log gets.
func (h *Host) answer(ctx context.Context, input, tool string, args ...string) ([]byte, error) {
	said, _, err := h.call(ctx, keeping{input: input, tool: tool, args: args})
	return said, toolError(ctx, commandLine(tool, args), said, err)
}

// call finds a tool, runs it, and logs what it said.
func (h *Host) call(ctx context.Context, k keeping) (said, complaints []byte, err error) {
	if k.path, err = h.tool(k.tool); err != nil {
		return nil, nil, err
	}
	began := time.Now()
	said, complaints, err = h.keep(ctx, k)
	h.Log.InfoContext(ctx, "ran", "command", commandLine(k.tool, k.args), "took", time.Since(began),
		"output", strings.TrimSpace(string(slices.Concat(complaints, said))), "error", err)
	return said, complaints, err
}

// tool finds the program file of a tool, by the name that it goes by where that is a link: one program may be many tools, and then that name says which.
func (h *Host) tool(name string) (string, error) {
	if path, ok := host.FindTool(h.Root, name); ok {
		if h.Root.Live() {
			return path, nil
		}
		return h.Root.Path(path) // a link of an image may lead out of it
	}
	if !h.Live {
		if path, ok := host.FindTool(host.At("/"), name); ok {
			return path, nil
		}
	}
	return "", &MissingToolError{Tool: name}
}

// MissingToolError is the error of running a tool that the host does not have.
type MissingToolError struct{ Tool string }

func (e *MissingToolError) Error() string {
	return e.Tool + ": not found in /usr/sbin, /usr/bin, /sbin or /bin"
}

// Is makes it one of fs.ErrNotExist.
func (e *MissingToolError) Is(target error) bool { return target == fs.ErrNotExist }

// toolError says of a failure which command it was of and the last line of what the tool said.
func toolError(ctx context.Context, command string, out []byte, err error) error {
	if _, missing := errors.AsType[*MissingToolError](err); err == nil || missing {
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", command, errors.Join(context.Cause(ctx), err))
	}
	if line := lastOutputLine(out); line != "" {
		return fmt.Errorf("%s: %w: %s", command, err, line)
	}
	return fmt.Errorf("%s: %w", command, err)
}

func lastOutputLine(out []byte) string {
	out = bytes.TrimSpace(out)
	return strings.TrimSpace(string(out[bytes.LastIndexByte(out, '\n')+1:]))
}

// commandLine is a command as a person types it into a shell.
func commandLine(tool string, args []string) string {
	words := []string{filepath.Base(tool)}
	for _, a := range args {
		words = append(words, ShellWord(a))
	}
	return strings.Join(words, " ")
}

// ShellWord quotes a word for sh(1) where that is needed.
func ShellWord(w string) string {
	plain := func(r rune) bool {
		return r == '-' || r == '_' || r == '.' || r == '/' || r == '=' || r == ':' || r == ',' || r == '+' || r == '@' ||
			'0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	}
	if w != "" && strings.IndexFunc(w, func(r rune) bool { return !plain(r) }) < 0 {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}
