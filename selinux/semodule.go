package selinux

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// rebuildLimit is how long a rebuild may take; the longest seen was 40 s, in an emulated guest.
const rebuildLimit = 10 * time.Minute

// outputDelay is how long the output is waited for once semodule has ended: what it started may live on, and hold the other end for ever.
const outputDelay = time.Second

// apply runs semodule once the store's lock is free, and again when another program was faster.
func (s store) apply(ctx context.Context, tool string, c Change, wait time.Duration) error {
	sweepTemporary(time.Now())
	dir, err := os.MkdirTemp(temporaryDir, temporaryName)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := writeModules(dir, c.Install); err != nil {
		return err
	}
	args := append(s.where(), c.Args(func(m Module) string { return moduleFile(dir, m) })...)
	waitCtx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		if err := s.waitLock(waitCtx, wait); err != nil {
			return err
		}
		locked, err := semodule(ctx, tool, args)
		if !locked {
			return err
		}
		if waitCtx.Err() != nil {
			return s.lockedError(waitCtx, wait)
		}
	}
}

// Modules are handed to semodule in a directory of their own. semanage_t may read what is there: admins install from anywhere.
const (
	temporaryDir  = "/run"
	temporaryName = "cisco-amp-policy-"
)

// sweepTemporary removes what killed programs left.
func sweepTemporary(now time.Time) {
	left, _ := filepath.Glob(filepath.Join(temporaryDir, temporaryName+"*"))
	for _, dir := range left {
		if fi, err := os.Lstat(dir); err == nil && fi.IsDir() && now.Sub(fi.ModTime()) > 2*rebuildLimit {
			os.RemoveAll(dir)
		}
	}
}

// where are semodule's arguments that name the store, none for the host's own. An image's policy is built and not loaded.
func (s store) where() []string {
	if s.root.Live() {
		return nil
	}
	return []string{"-p", s.root.Dir(), "-S", path.Dir(s.dir), "-s", s.typ, "-n"}
}

// moduleFile is where a module is put for semodule, which takes name and language from the file's name. A module that is the packaged
// one is taken from the package.
func moduleFile(dir string, m Module) string {
	if m.Name == ModuleName && m.Language == "cil" {
		if b, err := os.ReadFile(PackagedPath); err == nil && bytes.Equal(b, m.Source) {
			return PackagedPath
		}
	}
	return filepath.Join(dir, m.Name+"."+m.Language)
}

func writeModules(dir string, modules []Module) error {
	for _, m := range modules {
		if !validName(m.Name) || !validWord(m.Language) {
			return fmt.Errorf("module %q in language %q: not names", m.Name, m.Language)
		}
		if len(m.Source) > maxModule {
			return fmt.Errorf("module %s: %d bytes, more than %d", m.Name, len(m.Source), maxModule)
		}
		if err := os.WriteFile(filepath.Join(dir, m.Name+"."+m.Language), m.Source, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// semodule runs the tool. locked means that it gave up because another program holds a lock of the store.
func semodule(ctx context.Context, tool string, args []string) (locked bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rebuildLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, tool, args...)
	cmd.Env = []string{"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	// A group of its own: Ctrl-C at the terminal is for us, and does not cut the rebuild short.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = outputDelay
	var out tail
	cmd.Stdout, cmd.Stderr = &out, &out
	if err = cmd.Run(); err == nil || errors.Is(err, exec.ErrWaitDelay) {
		return false, nil // the latter is no error of semodule's, which ended well
	}
	// "libsemanage.semanage_get_trans_lock: Could not get direct transaction lock at …/semanage.trans.LOCK." (libsemanage 2.4 to 3.8)
	locked = strings.Contains(out.String(), "Could not get direct") && strings.Contains(out.String(), "lock at")
	command := strings.Join(append([]string{"semodule"}, args...), " ")
	if ctx.Err() != nil {
		return locked, fmt.Errorf("%s: not done after %s", command, rebuildLimit)
	}
	return locked, fmt.Errorf("%s: %w: %s", command, err, out.reason())
}

// tail keeps the last part of a command's output.
type tail struct{ b []byte }

const maxTail = 16 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if over := len(t.b) - maxTail; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.b) }

// reason is the last two lines that say anything; semodule's own last line is only "/usr/sbin/semodule:  Failed!".
func (t *tail) reason() string {
	var lines []string
	for _, l := range strings.Split(t.String(), "\n") {
		if l = strings.TrimSpace(l); l != "" && !strings.HasSuffix(l, "semodule:  Failed!") {
			lines = append(lines, l)
		}
	}
	if len(lines) > 2 {
		lines = lines[len(lines)-2:]
	}
	return strings.Join(lines, "; ")
}

// repair mends what a change leaves that was killed between libsemanage's two renames, active to previous and tmp to active
// (semanage_store.c, semanage_commit_sandbox): a store without "active". The next semodule takes that for a new store and makes an empty
// "active", so that all policy modules are gone: -B then succeeds and builds nothing, -i fails (seen with 3.4). So the old set comes back,
// and the empty one becomes "tmp", which is libsemanage's to remove, and it does so at its next change. The caller holds the store's lock.
func (s store) repair() error {
	lost, err := s.lost()
	if err != nil || !lost {
		return err
	}
	dir, err := s.root.Path(s.dir)
	if err != nil {
		return err
	}
	active, tmp := filepath.Join(dir, "active"), filepath.Join(dir, "tmp")
	if _, err := os.Lstat(active); err == nil {
		if err := os.RemoveAll(tmp); err != nil {
			return err
		}
		if err := os.Rename(active, tmp); err != nil {
			return err
		}
	}
	return os.Rename(filepath.Join(dir, "previous"), active)
}
