package installer

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/durable"
	"github.com/ampconnector/amp/internal/fault"
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
	return durable.SyncDirectory(etc) // the tool does not; what it renamed would be lost with the power, and the journal already say that it was done
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

// exhausted reports a range of system ids that has none, or none that is free.
func exhausted(ctx context.Context, h *Host, tool string) error {
	kinds := []host.IDKind{host.UIDs, host.GIDs}
	if tool == "groupadd" {
		kinds = kinds[1:]
	}
	var errs []error
	for _, k := range kinds {
		if _, err := host.FreeID(ctx, h.Root, k, nil); noID(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// noID reports whether an error of host.FreeID says that there is no id to be had.
func noID(err error) bool { return errors.Is(err, ErrNoFreeID) || errors.Is(err, host.ErrMalformed) }

// ErrNoFreeID is in the chain of errors about a range of ids of which none is free.
var ErrNoFreeID = host.ErrNoFreeID

// systemID are the arguments that keep an account tool from an id of people's range, where the range of system accounts reaches into it;
// elsewhere the tool finds one itself. It is an error, before the tool is run, that there is none to be had.
func systemID(ctx context.Context, h *Host, k host.IDKind, option string) ([]string, error) {
	span, err := host.IDRangeOf(k, host.LoginSettingsOf(h.Root))
	if err != nil {
		return nil, nil //nolint:nilerr // the tool has built-in values, and makes the same of what cannot be read
	}
	id, err := host.FreeID(ctx, h.Root, k, nil)
	switch {
	case noID(err):
		return nil, err
	case err == nil && span.Overlaps():
		return []string{option, decimal(id)}, nil
	}
	return nil, nil
}

// ofPeople says that an account tool, or a wrapper of it, numbered a system account as one of people's.
func ofPeople(h *Host, k host.IDKind, name string, id uint32) error {
	span, err := host.IDRangeOf(k, host.LoginSettingsOf(h.Root))
	if err != nil || !span.OfPeople(id) {
		return nil //nolint:nilerr // without a range there is nothing to be in
	}
	return fault.Errorf(gotPeoples, name, k, id, span.People.Text(), span.Most.Text())
}

var gotPeoples = fault.Text{
	EN: "the account tool gave %s %s %d, which is of the range of people's accounts, %s to %s",
	JA: "アカウント管理ツールが %s に一般アカウントの範囲 (%[4]s から %[5]s) の %[2]s %[3]d を割り当てました",
}

// maxAccountFile bounds an account file, in bytes.
const maxAccountFile = 32 << 20
