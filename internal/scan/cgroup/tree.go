// Package cgroup gives each process of the scan service a control group of its own, cgroups(7), below the one that the service manager leaves to the
// daemon: what it takes of memory, with all that it forks and writes to its scratch space, then has a bound that its own limits, setrlimit(2),
// cannot give. It works on the unified tree alone; elsewhere Open says why not, and those limits are all there is.
package cgroup

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/host"
)

// Root is where the tree is mounted.
const Root = "/sys/fs/cgroup"

// Names of groups below the daemon's: a group whose controllers its children have may have no processes itself, so that the daemon moves.
const (
	daemonGroup = "daemon"
	scanGroup   = "scan-" // and a number
)

// Reasons of Open.
var (
	errVersion1     = errors.New("the host has control groups of version 1, or none")
	errNotDelegated = errors.New("the service manager does not leave its control group to the daemon (Delegate= of systemd)")
	errNoMemory     = errors.New("the controller of memory is not there")
)

// Tree is the group that was left to the daemon.
type Tree struct {
	dir         string
	path        string   // from the root of the tree
	controllers []string // that the groups below have
	last        uint64   // number of a group
}

// Open takes over the daemon's group. It is called at the start, before the daemon has children.
func Open(own host.Reading[host.ControlGroup]) (*Tree, error) {
	switch {
	case !own.Known():
		return nil, own.Err
	case !own.Value.Unified:
		return nil, errVersion1
	}
	path := own.Value.Path
	if filepath.Base(path) == daemonGroup { // the daemon was executed anew in the same place
		path = filepath.Dir(path)
	}
	if !delegated(filepath.Join(Root, path)) {
		return nil, errNotDelegated
	}
	return open(Root, path)
}

// delegated reports whether the service manager leaves a group to its processes: systemd marks it so, by the second name since version 251.
func delegated(dir string) bool {
	for _, name := range []string{"trusted.delegate", "user.delegate"} {
		value := make([]byte, 8)
		if n, err := unix.Getxattr(dir, name, value); err == nil && string(value[:n]) == "1" {
			return true
		}
	}
	return false
}

// wanted are the controllers that are used where they are there. That of CPUs is not asked of the service manager: it would turn it on
// for all services beside this one, which from then on got equal shares, and nice(2) would count between them no more.
var wanted = []string{"memory", "pids", "cpu"}

// open moves this process out of the way, and turns the controllers on.
func open(root, path string) (*Tree, error) {
	t := &Tree{dir: filepath.Join(root, path), path: path}
	there, err := readWords(filepath.Join(t.dir, "cgroup.controllers"))
	switch {
	case err != nil:
		return nil, err
	case !slices.Contains(there, "memory"):
		return nil, errNoMemory
	}
	t.sweep()
	leaf := filepath.Join(t.dir, daemonGroup)
	if err := mkdir(leaf); err != nil {
		return nil, err
	}
	if err := write(filepath.Join(leaf, "cgroup.procs"), "0"); err != nil {
		return nil, err
	}
	for _, c := range wanted {
		if !slices.Contains(there, c) {
			continue
		}
		if err := write(filepath.Join(t.dir, "cgroup.subtree_control"), "+"+c); err != nil {
			return nil, err
		}
		t.controllers = append(t.controllers, c)
	}
	return t, nil
}

// Path is the group from the root of the tree.
func (t *Tree) Path() string { return t.path }

// sweep removes the groups that a daemon which was killed left behind. Those that have processes still stay, and are out of the way.
func (t *Tree) sweep() {
	entries, err := os.ReadDir(t.dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		number, ours := strings.CutPrefix(e.Name(), scanGroup)
		if !ours || !e.IsDir() {
			continue
		}
		_ = unix.Rmdir(filepath.Join(t.dir, e.Name()))
		if n, err := strconv.ParseUint(number, 10, 32); err == nil {
			t.last = max(t.last, n)
		}
	}
}

// mkdir makes a group, unless it is there.
func mkdir(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// write sets an attribute. It makes no file: where it is not there, the kernel does not know it.
func write(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %q: %w", value, err)
	}
	return nil
}

// maxAttribute is more than any attribute that is read here has, in bytes.
const maxAttribute = 16 << 10

// read gives the bytes of an attribute.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxAttribute))
}

func readWords(path string) ([]string, error) {
	b, err := read(path)
	return strings.Fields(string(b)), err
}
