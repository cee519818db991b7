package layout

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/host"
)

// sources are compiled: structures.c and its Makefile.
//
//go:embed kbuild/structures.c kbuild/Makefile
var kbuild embed.FS

var sources = SourcesOf(kbuild)

const objectName = "structures.o"

// A Job is something that is built in a header tree.
type Job struct {
	Sources  Sources
	Target   string   // of make
	Products []string // files that are there afterwards
	// Arguments are given to make beside its tree, folder, compiler and target.
	Arguments []string
	Patience  time.Duration
	// Inside has make and compiler run in the root, which is then a whole system and has the scratch directory in it. Else the programs of the running
	// system do the work, at the paths that were found in the root.
	Inside bool
}

// structures is the job of this package.
func structures(t *toolchain) Job {
	args := slices.Clone(compileArguments)
	if strings.HasPrefix(path.Base(t.compiler), "clang") {
		args[len(args)-1] += clangArguments
	}
	return Job{Sources: sources, Target: objectName, Products: []string{objectName}, Arguments: args, Patience: compileTimeout}
}

// Build does a job in a header tree with the compiler that the tree asks for, or the nearest to it, and gives the products by name, and what was
// said. scratch is an empty directory that is there, as seen from outside the root: as root, the work is done as a stranger, in a file system of memory
// that only we see, over it. Where it is the tree, the compiler or the build that is the matter, err is an *Error.
func Build(ctx context.Context, r host.Root, tree, scratch string, j Job) (products map[string][]byte, log []byte, err error) {
	t, err := findTools(r, tree)
	if err != nil {
		return nil, nil, err
	}
	return t.build(ctx, r, scratch, j)
}

const (
	compileTimeout = 3 * time.Minute // 2 to 4 seconds are usual, on an emulated machine it may be a minute
	maxLog         = 64 << 10        // bytes that are kept of what the build says
	scratchOptions = "mode=1777,size=64m,nr_inodes=1k"
)

// compileArguments are what make is told beside its tree, folder and compiler. The code that is generated is of no matter, as there is none: options
// for it that the kernel's configuration switches on without asking the compiler are taken back, so that a compiler of another version does too.
// A variable of make's command line overrides the tree's auto.conf, and leaves autoconf.h, which the compiler reads, as it is.
var compileArguments = []string{
	"GCC_PLUGINS_CFLAGS=",
	"CONFIG_CC_HAS_MIN_FUNCTION_ALIGNMENT=", // -fmin-function-alignment, GCC 13
	"CONFIG_INIT_STACK_ALL_ZERO=",           // -ftrivial-auto-var-init, GCC 12
	"CONFIG_MITIGATION_SLS=", "CONFIG_SLS=", // -mharden-sls, GCC 12
	"CONFIG_ZERO_CALL_USED_REGS=", // -fzero-call-used-regs, GCC 11
	// Last, so that they hold: debug information in one piece in the object itself, and no word about what a newer compiler knows.
	"KCFLAGS=-g -gno-split-dwarf -gz=none -fno-lto -w",
}

// clangArguments keep clang from leaving out of the debug information what it thinks is described elsewhere.
const clangArguments = " -fstandalone-debug"

// compile compiles the structures in the tree, and gives the object and what was said.
func compile(ctx context.Context, r host.Root, t *toolchain, scratch string) (object, log []byte, err error) {
	products, log, err := t.build(ctx, r, scratch, structures(t))
	return products[objectName], log, err
}

func (t *toolchain) build(ctx context.Context, r host.Root, scratch string, j Job) (products map[string][]byte, log []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, j.Patience)
	defer cancel()
	work := func(dir string) error {
		products, log, err = t.buildIn(ctx, r, dir, j)
		return err
	}
	switch {
	case os.Geteuid() == 0:
		err = inPrivate(scratch, work)
	case j.Inside:
		err = &Error{Why: BuildFailed, From: r.Dir(), Detail: "to build in another root", Err: unix.EPERM}
	default:
		err = inTemporary(work)
	}
	return products, log, err
}

// inPrivate has work done where a file system in memory lies over dir, which only the thread sees that does it, and its children: nobody can
// put anything there, and nothing is left of it, even if we are killed. The thread ends with the work.
func inPrivate(dir string, work func(string) error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: no other goroutine is to see what it sees
		err := unix.Unshare(unix.CLONE_NEWNS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err == nil {
			err = unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, scratchOptions)
		}
		if err != nil {
			done <- &Error{Why: BuildFailed, From: dir, Detail: "no file system of our own to compile in", Err: err}
			return
		}
		done <- work(dir)
	}()
	return <-done
}

func inTemporary(work func(string) error) error {
	dir, err := os.MkdirTemp("", "amp-layout-")
	if err != nil {
		return &Error{Why: diskOr(err, BuildFailed), From: os.TempDir(), Err: err}
	}
	defer os.RemoveAll(dir)
	return work(dir)
}

func (t *toolchain) buildIn(ctx context.Context, r host.Root, dir string, j Job) (products map[string][]byte, log []byte, err error) {
	if err := putSources(dir, j.Sources); err != nil {
		return nil, nil, &Error{Why: diskOr(err, BuildFailed), From: dir, Err: err}
	}
	tree, err := r.Path(t.tree)
	if err != nil {
		return nil, nil, &Error{Why: TreeIncomplete, From: t.tree, Err: err}
	}
	attributes, at := &syscall.SysProcAttr{Setpgid: true}, dir // at is dir as make sees it
	if j.Inside {
		below, err := filepath.Rel(r.Dir(), dir)
		if err != nil || !filepath.IsLocal(below) {
			return nil, nil, &Error{Why: BuildFailed, From: dir, Detail: "expected a directory below " + r.Dir(), Err: err}
		}
		attributes.Chroot, at, tree = r.Dir(), "/"+below, t.tree
	}
	args := append([]string{"-C", tree, "M=" + at, "CC=" + t.compiler}, j.Arguments...)
	cmd := exec.CommandContext(ctx, t.make, append(args, j.Target)...)
	cmd.Dir = at
	cmd.Env = []string{"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + at, "TMPDIR=" + at}
	cmd.SysProcAttr = attributes
	if os.Geteuid() == 0 {
		id, err := stranger()
		if err != nil {
			return nil, nil, &Error{Why: BuildFailed, From: t.make, Err: err}
		}
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: id, Gid: id}
	}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = time.Second
	out := &bounded{}
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	log = out.Bytes()
	switch {
	case ctx.Err() != nil:
		return nil, log, &Error{Why: TimedOut, From: t.tree, Err: ctx.Err()}
	case err != nil:
		return nil, log, judge(log, t, err)
	}
	products = map[string][]byte{}
	for _, name := range j.Products {
		if products[name], err = readObject(filepath.Join(dir, name)); err != nil {
			return nil, log, &Error{Why: BuildFailed, From: t.tree, Detail: "make succeeded", Err: err}
		}
	}
	return products, log, nil
}

func putSources(dir string, sources Sources) error {
	for name, b := range sources {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// readObject reads what the compiler left; that is another's file by now.
func readObject(name string) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		return nil, errors.Join(err, fmt.Errorf("%s: %w", name, host.ErrNotRegular))
	}
	b, err := io.ReadAll(io.LimitReader(f, maxObject+1))
	if err == nil && len(b) > maxObject {
		err = fmt.Errorf("%s: %w: more than %d bytes", name, host.ErrTooLarge, maxObject)
	}
	return b, err
}

func diskOr(err error, why Why) Why {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return DiskFull
	}
	return why
}

// signs tell from what a build says why it failed.
var signs = []struct {
	text *regexp.Regexp
	why  Why
}{
	{regexp.MustCompile(`No space left on device`), DiskFull},
	{regexp.MustCompile(`unrecognized command[- ]line option|unrecognized argument|unknown argument|unsupported option|cannot load plugin|incompatible gcc/plugin`), OtherCompiler},
	{regexp.MustCompile(`\.h: No such file or directory|\.h' file not found|No rule to make target|(/scripts/|/tools/).*(not found|No such file|Permission denied)|Exec format error`), TreeIncomplete},
}

// complaints are the lines of a build that say what is wrong, and not only that something is.
var complaints = regexp.MustCompile(`(?m)^.*(error: |: (command )?not found|No such file|Permission denied|Exec format error|No rule to make target|\*\*\* .*[^0-9\n]$|No space left).*$`)

// judge says why a build failed, by what it said.
func judge(log []byte, t *toolchain, err error) *Error {
	lines := complaints.FindAll(log, 64)
	e := &Error{Why: BuildFailed, From: t.tree, Detail: Complaint(log), Err: err}
	for _, s := range signs {
		if i := slices.IndexFunc(lines, s.text.Match); i >= 0 {
			e.Why, e.Detail = s.why, brief(string(bytes.TrimSpace(lines[i])))
			break
		}
	}
	if e.Why == OtherCompiler {
		e.Wanted = t.wanted
		e.Detail = path.Base(t.compiler) + ", the kernel was built with " + t.text + ": " + e.Detail
	}
	return e
}

// Complaint is the first line of what a build of the kernel's build system said that tells what is wrong, else its last line.
func Complaint(log []byte) string {
	if line := complaints.Find(log); line != nil {
		return brief(string(bytes.TrimSpace(line)))
	}
	return lastLine(log)
}

func lastLine(b []byte) string {
	b = bytes.TrimSpace(b)
	return brief(string(b[bytes.LastIndexByte(b, '\n')+1:]))
}

// bounded keeps the first bytes that are written to it.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if room := maxLog - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
