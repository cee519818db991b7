package installer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/ampconnector/amp/internal/host"
)

// toolEnviron is what tools are run with, whatever the program's own environment is: package scriptlets have odd ones.
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

// answer is Run with what the tool is to read on its standard input, which no log gets.
func (h *Host) answer(ctx context.Context, input, tool string, args ...string) ([]byte, error) {
	path, err := h.tool(tool)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	said, err := h.keep(ctx, input, tool, path, args)
	h.Log.InfoContext(ctx, "ran", "command", commandLine(tool, args), "took", time.Since(began), "output", strings.TrimSpace(string(said)), "error", err)
	if err != nil {
		return said, toolError(ctx, commandLine(tool, args), said, err)
	}
	return said, nil
}

// tool finds the program file of a tool.
func (h *Host) tool(name string) (string, error) {
	if path, ok := host.FindTool(h.Root, name); ok {
		return h.Root.Path(path)
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

func toolError(ctx context.Context, command string, out []byte, err error) error {
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
		words = append(words, shellWord(a))
	}
	return strings.Join(words, " ")
}

// shellWord quotes a word for sh(1) where that is needed.
func shellWord(w string) string {
	plain := func(r rune) bool {
		return r == '-' || r == '_' || r == '.' || r == '/' || r == '=' || r == ':' || r == ',' || r == '+' || r == '@' ||
			'0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	}
	if w != "" && strings.IndexFunc(w, func(r rune) bool { return !plain(r) }) < 0 {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}
