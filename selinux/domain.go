package selinux

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ampconnector/amp/internal/host"
)

// domain is where the service runs, or would run.
type domain struct {
	context string
	from    string
	running bool
}

// findDomain tells the domain of the running service; if it does not run, the one that its unit asks for; if none, what the kernel says a
// program with the binary's label gets when systemd starts it.
func (k kernel) findDomain(r host.Root, o Options) (domain, error) {
	if pid, ok := k.daemon(o.Unit, o.Binary); ok {
		from := filepath.Join(k.proc, strconv.Itoa(pid), "attr/current")
		context, err := readSmall(from)
		if err == nil && context != "" {
			return domain{context, from, true}, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, os.ErrProcessDone) {
			return domain{from: from}, err
		}
		// It ended in between.
	}
	context, from, err := unitContext(r, o.Unit)
	if err != nil {
		return domain{from: o.Unit}, err
	}
	if context != "" {
		return domain{context: context, from: from}, nil
	}
	return k.startDomain(r, o.Binary)
}

// startDomain asks the kernel for the domain of a program that process 1 starts.
func (k kernel) startDomain(r host.Root, binary string) (domain, error) {
	from := filepath.Join(k.selinuxfs, "create")
	init, err := readSmall(filepath.Join(k.proc, "1/attr/current"))
	if err != nil {
		return domain{from: from}, err
	}
	file, err := r.Path(binary)
	if err != nil {
		return domain{from: from}, err
	}
	label, err := k.fileLabel(file)
	if err != nil {
		return domain{from: from}, fmt.Errorf("label of %s: %w", binary, err)
	}
	class, err := k.class("process")
	if err != nil {
		return domain{from: from}, err
	}
	for _, context := range []string{init, label} {
		if _, err := typeOf(context); err != nil {
			return domain{from: from}, err
		}
	}
	request := fmt.Sprintf("%s %s %d", init, label, class)
	context, err := k.transact(from, request)
	if err != nil {
		return domain{from: from}, fmt.Errorf("ask %s for %q: %w", from, request, err)
	}
	return domain{context: strings.TrimSpace(context), from: from}, nil
}

// maxPIDs bounds how many processes of one service are looked at.
const maxPIDs = 4096

// daemonGroup is the control group below the unit's that the daemon moves into, to have others beside it.
const daemonGroup = "daemon"

// daemon finds the running service: in the unit's control group, else, where there is no systemd, by the program file.
func (k kernel) daemon(unit, binary string) (pid int, ok bool) {
	if pid, ok := k.inUnit(unit, binary); ok {
		return pid, true
	}
	entries, err := os.ReadDir(k.proc)
	if err != nil {
		return 0, false
	}
	var pids []int
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil && n > 0 {
			pids = append(pids, n)
		}
	}
	slices.Sort(pids)
	return k.runs(pids, binary)
}

// inUnit finds the service among the processes of its unit.
func (k kernel) inUnit(unit, binary string) (pid int, ok bool) {
	if !validUnit(unit) {
		return 0, false
	}
	// The unified hierarchy, then the two places of systemd's own hierarchy on older systems.
	for _, hierarchy := range []string{"", "unified", "systemd"} {
		for _, leaf := range []string{"", daemonGroup} {
			pids := readPIDs(filepath.Join(k.cgroup, hierarchy, "system.slice", unit, leaf, "cgroup.procs"))
			if pid, ok := k.runs(pids, binary); ok {
				return pid, true
			}
			// A caller who is not root cannot see which program the others run.
			if len(pids) > 0 {
				if _, err := os.Readlink(k.exe(pids[0])); errors.Is(err, fs.ErrPermission) {
					return pids[0], true
				}
			}
		}
	}
	return 0, false
}

func (k kernel) exe(pid int) string { return filepath.Join(k.proc, strconv.Itoa(pid), "exe") }

// runs is the first of some processes that runs a program. After an upgrade the file that it runs is deleted, and it is still the service.
func (k kernel) runs(pids []int, binary string) (int, bool) {
	for _, pid := range pids {
		exe, err := os.Readlink(k.exe(pid))
		if err == nil && strings.TrimSuffix(exe, " (deleted)") == binary {
			return pid, true
		}
	}
	return 0, false
}

// readPIDs reads a cgroup.procs file, lowest first; what is not there has no processes.
func readPIDs(path string) []int {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	var pids []int
	for lines := bufio.NewScanner(io.LimitReader(f, 1<<20)); lines.Scan() && len(pids) < maxPIDs; {
		if n, err := strconv.Atoi(lines.Text()); err == nil && n > 0 {
			pids = append(pids, n)
		}
	}
	slices.Sort(pids)
	return pids
}
