package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// root is a throw-away Debian system in a directory. What runs in it does so in mount and process namespaces of its own, which
// end with the command: nothing is left mounted or running.
type root struct {
	t   testing.TB
	dir string
}

// needs skips a test whose programs are not installed. Where CI=true they should be.
func needs(t testing.TB, programs ...string) {
	t.Helper()
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			lacks(t, name+" is not installed")
		}
	}
}

func needsRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		lacks(t, "needs root for chroot")
	}
}

func lacks(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// newRoot unpacks a root with the named packages beyond the minimal ones. The archive is made once, with the machine's own
// package configuration, and kept below $AMP_CACHE (default ~/.cache/amp-lab).
func newRoot(t testing.TB, include ...string) root {
	t.Helper()
	if testing.Short() {
		t.Skip("unpacks and runs a whole system")
	}
	needsRoot(t)
	needs(t, "mmdebstrap", "unshare", "dpkg", "tar")
	r := root{t, roomy(t)}
	tool(t, "tar", "-C", r.dir, "-xf", baseArchive(t, include))
	return r
}

// roomy returns a folder for a system. It is in memory where there is plenty of it: unpacking takes a fifth of the time then, and dpkg's
// fsync(2) none.
func roomy(t testing.TB) string {
	t.Helper()
	const shm, plenty, noexec = "/dev/shm", 4 << 30, 0x8 // ST_NOEXEC, statfs(2)
	var st syscall.Statfs_t
	if err := syscall.Statfs(shm, &st); err != nil || st.Flags&noexec != 0 || st.Bavail*uint64(st.Bsize) < plenty || available(t) < plenty {
		return t.TempDir()
	}
	forget(t, shm)
	dir, err := os.MkdirTemp(shm, fmt.Sprintf("%s%d-", inMemory, os.Getpid()))
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// inMemory begins the names of folders in memory; the process that made it follows.
const inMemory = "amp-packaging-"

// forget removes folders of tests that were killed, since nothing else would before the next boot.
func forget(t testing.TB, shm string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(shm, inMemory+"*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range left {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), inMemory), "-")
		if _, err := os.Stat("/proc/" + pid); errors.Is(err, fs.ErrNotExist) {
			if err := os.RemoveAll(dir); err != nil {
				t.Error(err)
			}
		}
	}
}

// available is the memory that can be had without swapping, in bytes (MemAvailable, proc_meminfo(5)); 0 where that is not known.
func available(t testing.TB) uint64 {
	t.Helper()
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	var kib uint64
	if m := regexp.MustCompile(`(?m)^MemAvailable: +(\d+) kB$`).FindSubmatch(b); m != nil {
		kib, _ = strconv.ParseUint(string(m[1]), 10, 54)
	}
	return kib << 10
}

// in is the same root for a part of the test.
func (r root) in(t testing.TB) root { return root{t, r.dir} }

func baseArchive(t testing.TB, include []string) string {
	t.Helper()
	cache := os.Getenv("AMP_CACHE")
	if cache == "" {
		home, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		cache = filepath.Join(home, "amp-lab")
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(cache, strings.Join(append([]string{"packaging-bookworm", runtime.GOARCH}, include...), "-")+".tar")
	if _, err := os.Stat(archive); err == nil {
		return archive
	}
	args := []string{"--quiet", "--variant=minbase"}
	if len(include) > 0 {
		args = append(args, "--include="+strings.Join(include, ","))
	}
	made := archive + fmt.Sprintf(".%d.tar", os.Getpid())
	defer os.Remove(made)
	tool(t, "mmdebstrap", append(args, "bookworm", made)...)
	if err := os.Rename(made, archive); err != nil {
		t.Fatal(err)
	}
	return archive
}

// add copies files into /packages of the root.
func (r root) add(files ...string) {
	r.t.Helper()
	for _, f := range files {
		if err := copyFile(f, filepath.Join(r.dir, "packages", filepath.Base(f)), 0o644); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r root) write(name, text string, mode os.FileMode) {
	r.t.Helper()
	if err := writeFile(filepath.Join(r.dir, name), []byte(text), mode); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(r.dir, name), mode); err != nil {
		r.t.Fatal(err)
	}
}

func (r root) read(name string) string {
	r.t.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}

func (r root) has(name string) bool {
	_, err := os.Lstat(filepath.Join(r.dir, name))
	return err == nil
}

// chroot runs a shell script the way an image builder does: in a chroot, which the programs can tell.
func (r root) chroot(script string) string {
	return r.must(r.run(script, "unshare", "--mount", "--pid", "--fork", "sh", "-c",
		// Process 1 stays outside, as on a machine: that is how a chroot is told.
		`mount -t proc proc "$0/proc" && chroot "$0" sh -ec "$1"; exit $?`, r.dir, script))
}

// container runs a shell script as process 1 of a container without an init system. All that it started ends with it.
func (r root) container(script string) string {
	return r.must(r.run(script, "unshare", "--mount", "--pid", "--fork", "--root="+r.dir, "sh", "-ec", "mount -t proc proc /proc\n"+script))
}

func (r root) run(script, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(context.Background(), name, args...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "TERM=dumb"}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Dir = "/"
	err := cmd.Run()
	if _, measuring := r.t.(*testing.B); !measuring {
		r.t.Logf("# %s\n%s", script, out.String())
	}
	return out.String(), err
}

func (r root) must(out string, err error) string {
	r.t.Helper()
	if err != nil {
		r.t.Fatalf("%v\n%s", err, out)
	}
	return out
}

// volatile are the paths that installing any package changes.
var volatile = regexp.MustCompile(`^/(proc|sys|dev|run|tmp|packages|root/\.rpmdb|var/cache|var/lib/(dpkg|apt|rpm|dnf|zypp)|var/log/(apt|dpkg\.log|alternatives\.log|dnf.*|hawkey\.log|zypp.*)|etc/ld\.so\.cache|etc/(passwd|group|shadow|gshadow|subuid|subgid)-|etc/\.pwd\.lock)(/|$)`)

// snapshot describes every file of the root: type, mode, owner, and content or target.
func (r root) snapshot() map[string]string {
	r.t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(r.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, r.dir)
		if volatile.MatchString(name) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		files[name], err = describe(path, d)
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return files
}

func describe(path string, d fs.DirEntry) (string, error) {
	fi, err := d.Info()
	if err != nil {
		return "", err
	}
	st := fi.Sys().(*syscall.Stat_t)
	text := fmt.Sprintf("%v %d:%d", fi.Mode(), st.Uid, st.Gid)
	switch {
	case fi.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		return text + " -> " + target, err
	case fi.Mode().IsRegular():
		b, err := os.ReadFile(path)
		return fmt.Sprintf("%s %x", text, sha256.Sum256(b)), err
	}
	return text, nil
}

// wantSame compares two snapshots, but for paths that match except.
func wantSame(t testing.TB, when string, before, after map[string]string, except string) {
	t.Helper()
	var names []string
	for name := range before {
		names = append(names, name)
	}
	for name := range after {
		if _, ok := before[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	skip := regexp.MustCompile("^(" + except + ")$")
	for _, name := range names {
		if before[name] != after[name] && (except == "" || !skip.MatchString(name)) {
			t.Errorf("%s: %s was %q, is %q", when, name, before[name], after[name])
		}
	}
}
