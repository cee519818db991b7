package installer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/host"
)

// accountLockWait is how long another program may hold one of shadow's locks. lckpwdf(3) itself waits 15 seconds.
const accountLockWait = 15 * time.Second

// accountTool runs one of shadow's tools on the host's account files.
func (h *Host) accountTool(ctx context.Context, tool string, args ...string) error {
	if err := accountsWritable(ctx, h); err != nil {
		return err
	}
	if !h.Live {
		args = append([]string{"-P", h.Root.Dir()}, args...) // shadow 4.5 and newer; -R would want the tool inside
	}
	_, err := h.Run(ctx, tool, args...)
	killpoint("tool-ended:" + tool)
	if err != nil {
		return explainAccountTool(ctx, h, tool, err)
	}
	etc, err := h.Root.Path("/etc")
	if err != nil {
		return err
	}
	return syncDirectory(etc) // the tool does not; what it renamed would be lost with the power, and the journal already say that it was done
}

// accountsWritable says exactly why the account files cannot be changed, before a tool tries.
func accountsWritable(ctx context.Context, h *Host) error {
	if err := writable(h, "/etc", host.PasswdPath, host.GroupPath, host.ShadowPath, host.GShadowPath); err != nil {
		return err
	}
	if err := room(h, "/etc", host.PasswdPath, host.GroupPath, host.ShadowPath, host.GShadowPath); err != nil {
		return err
	}
	return waitForAccountLocks(ctx, h)
}

// explainAccountTool adds to a tool's error what it does not say itself.
func explainAccountTool(ctx context.Context, h *Host, tool string, err error) error {
	var errno unix.Errno
	switch {
	case errors.As(err, &errno): // said plainly already
		return explainFull(err)
	case tool == "groupadd" || tool == "useradd":
		return errors.Join(err, exhausted(ctx, h, tool))
	}
	return err
}

// exhausted reports a range of system ids of which none is free.
func exhausted(ctx context.Context, h *Host, tool string) error {
	kinds := []idKind{systemUIDs, systemGIDs}
	if tool == "groupadd" {
		kinds = kinds[1:]
	}
	var errs []error
	for _, k := range kinds {
		if _, err := k.free(ctx, h); errors.Is(err, ErrNoFreeID) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// ErrNoFreeID is in the chain of errors about a range of ids of which none is free.
var ErrNoFreeID = errors.New("no free id")

// idKind is one of the two ranges of login.defs(5) that system accounts are numbered from.
type idKind struct {
	minimum, maximum, regular string // keys of login.defs(5)
	file, database            string
}

var (
	systemUIDs = idKind{"SYS_UID_MIN", "SYS_UID_MAX", "UID_MIN", host.PasswdPath, "passwd"}
	systemGIDs = idKind{"SYS_GID_MIN", "SYS_GID_MAX", "GID_MIN", host.GroupPath, "group"}
)

// span is the range and the files that say so, with shadow's defaults (find_new_uid.c: 101, and one below UID_MIN, which is 1000).
func (k idKind) span(h *Host) (first, last int64, from string, err error) {
	defs := host.LoginSettingsOf(h.Root)
	if defs.Err != nil && !errors.Is(defs.Err, os.ErrNotExist) {
		return 0, 0, "", defs.Err
	}
	number := func(key string, otherwise int64) int64 {
		if n, ok := defs.Value.Number(key); ok {
			return n
		}
		return otherwise
	}
	return max(1, number(k.minimum, 101)), min(number(k.maximum, number(k.regular, 1000)-1), 1<<32-2), defs.From, nil
}

// free is the highest free id of the range, as shadow takes it.
func (k idKind) free(ctx context.Context, h *Host) (uint32, error) {
	first, last, from, err := k.span(h)
	if err != nil {
		return 0, err
	}
	used, err := k.used(h)
	if err != nil {
		return 0, err
	}
	for id := last; id >= first; id-- {
		if !used[uint32(id)] && !k.elsewhere(ctx, h, uint32(id)) {
			return uint32(id), nil
		}
	}
	return 0, fmt.Errorf("%w: %s is %d and %s is %d (%s), and all %d of them are used; widen that range",
		ErrNoFreeID, k.minimum, first, k.maximum, last, from, max(0, last-first+1))
}

func (k idKind) used(h *Host) (map[uint32]bool, error) {
	b, err := h.Root.ReadFile(k.file, maxAccountFile)
	if err != nil {
		return nil, err
	}
	used := map[uint32]bool{}
	if k.database == "group" {
		rs, err := host.ParseGroup(k.file, b)
		for _, g := range rs.List {
			used[g.GID] = true
		}
		return used, err
	}
	rs, err := host.ParsePasswd(k.file, b)
	for _, u := range rs.List {
		used[u.UID] = true
	}
	return used, err
}

// elsewhere reports whether a directory service gave the id away. Where it cannot be asked shadow does not ask it either.
func (k idKind) elsewhere(ctx context.Context, h *Host, id uint32) bool {
	if !h.Live {
		return false
	}
	_, err := h.Run(ctx, "getent", k.database, fmt.Sprint(id))
	return err == nil
}

// maxAccountFile bounds an account file, in bytes.
const maxAccountFile = 32 << 20
