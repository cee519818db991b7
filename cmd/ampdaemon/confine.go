package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/capability"
)

// right is one of capabilities(7).
type right struct {
	name   string
	number uintptr
	atHand bool // in effect only where it is put into effect; see the connector's quarantine
}

// capabilities are those that the daemon keeps; the unit, which says what each is for, gives the same (CapabilityBoundingSet=).
var capabilities = []right{
	{"CAP_BPF", unix.CAP_BPF, false},
	{"CAP_PERFMON", unix.CAP_PERFMON, false},
	{"CAP_SYS_ADMIN", unix.CAP_SYS_ADMIN, false},
	{"CAP_SYS_RESOURCE", unix.CAP_SYS_RESOURCE, false},
	{"CAP_DAC_READ_SEARCH", unix.CAP_DAC_READ_SEARCH, false},
	{"CAP_SYS_PTRACE", unix.CAP_SYS_PTRACE, false},
	{"CAP_NET_ADMIN", unix.CAP_NET_ADMIN, false},
	{"CAP_SETUID", unix.CAP_SETUID, false},
	{"CAP_SETGID", unix.CAP_SETGID, false},
	{"CAP_SETPCAP", unix.CAP_SETPCAP, false},
	{"CAP_KILL", unix.CAP_KILL, false},
	{"CAP_LEASE", unix.CAP_LEASE, false},
	{"CAP_DAC_OVERRIDE", unix.CAP_DAC_OVERRIDE, true},
	{"CAP_FOWNER", unix.CAP_FOWNER, true},
}

// confine gives up, for all threads and for good, what the daemon does not need: capabilities, also as a bound for programs that it
// starts, and gaining any by executing a program. A service manager may have done most of that before, and a daemon that runs as a plain
// process has only this. The last is for the daemon alone to do: see the unit. Programs with cgo cannot (syscall.AllThreadsSyscall).
func confine() error {
	last, err := lastCapability()
	if err != nil {
		return err
	}
	var keep, effective uint64
	for _, c := range capabilities {
		keep |= 1 << c.number
		if !c.atHand {
			effective |= 1 << c.number
		}
	}
	for c := uintptr(0); c <= last; c++ {
		if keep&(1<<c) == 0 {
			err = errors.Join(err, dropFromBound(c))
		}
	}
	if err := errors.Join(err, keepOnly(keep, effective)); err != nil {
		return err
	}
	if _, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); errno != 0 {
		return fmt.Errorf("prctl PR_SET_NO_NEW_PRIVS: %w", errno)
	}
	return nil
}

// lastCapability is the highest number that the kernel knows.
func lastCapability() (uintptr, error) {
	const file = "/proc/sys/kernel/cap_last_cap"
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 6)
	if err != nil {
		return 0, fmt.Errorf("%s: %q: expected the number of a capability", file, b)
	}
	return uintptr(n), nil
}

// dropFromBound takes a capability out of the bounding set. That needs CAP_SETPCAP, so what is gone already is not dropped again.
func dropFromBound(c uintptr) error {
	if in, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, c, 0, 0, 0); err == nil && in == 0 {
		return nil
	}
	if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c, 0); errno != 0 {
		return fmt.Errorf("prctl PR_CAPBSET_DROP %d: %w", c, errno)
	}
	return nil
}

// keepOnly keeps of the capabilities that there are those of a mask, of which some are in effect, and lets programs that are executed inherit none.
func keepOnly(mask, effective uint64) error {
	sets, err := capability.Get()
	if err != nil {
		return err
	}
	sets.Permitted &= mask
	sets.Effective, sets.Inheritable = sets.Permitted&effective, 0
	return sets.SetAll()
}
