package installer

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/policy"
	"github.com/ampconnector/amp/selinux"
)

// Purged is one thing that a purge took away, or could not.
type Purged struct {
	What fault.Text
	Err  error
}

// purgeStoreWait is how long a purge waits for another program that changes the policy store.
const purgeStoreWait = 2 * time.Minute

// Purge removes what an install and the daemon made: the running daemon, the account, the policy module, state and logs. It
// is no plan of steps, since nothing that it deletes can be brought back; an interrupted purge is carried on by the next one.
// A host with another vendor's connector keeps what that one uses too. The caller holds the lock.
func Purge(ctx context.Context, h *Host, f *health.Facts) []Purged {
	var done []Purged
	for _, p := range purgeTasks {
		if p.shared && f.Connector.Vendor {
			continue
		}
		did, err := p.do(ctx, h, f)
		if did || err != nil {
			done = append(done, Purged{p.what, err})
		}
	}
	return done
}

// PurgeList names what a purge would take away, for the question before it.
func PurgeList(f *health.Facts) []fault.Text {
	var list []fault.Text
	for _, p := range purgeTasks {
		if !p.shared || !f.Connector.Vendor {
			list = append(list, p.what)
		}
	}
	return list
}

// purgeTask is one thing to take away; do reports whether there was anything.
type purgeTask struct {
	what   fault.Text
	shared bool // the vendor's connector uses it under the same name
	do     func(context.Context, *Host, *health.Facts) (bool, error)
}

// purgeTasks are in order: an account cannot be deleted while a process runs under it, and the log of what is done comes last.
var purgeTasks = []purgeTask{
	{fault.Text{EN: "the service cisco-amp.service (stopped, disabled)", JA: "サービス cisco-amp.service (停止および無効化)"}, true, purgeService},
	{fault.Text{EN: "the SELinux module " + selinux.ModuleName, JA: "SELinux モジュール " + selinux.ModuleName}, true, purgeModule},
	{fault.Text{EN: "the user cisco-amp-scan-svc", JA: "ユーザー cisco-amp-scan-svc"}, true, purgeUser},
	{fault.Text{EN: "the group cisco-amp-scan-svc", JA: "グループ cisco-amp-scan-svc"}, true, purgeGroup},
	{fault.Verbatim("/var/log/cisco"), true, purgeTree("/var/log/cisco")},
	{fault.Verbatim(policy.ExclusionPath), false, purgeTree(policy.ExclusionPath)},
	{fault.Text{EN: "/var/lib/cisco/amp, with the files in quarantine", JA: "/var/lib/cisco/amp (隔離中のファイルを含む)"}, false, purgeTree("/var/lib/cisco/amp")},
	{fault.Verbatim("/var/lib/cisco"), false, purgeEmpty("/var/lib/cisco")},
}

func purgeService(ctx context.Context, h *Host, _ *health.Facts) (bool, error) {
	s := serviceItems(ourFacts(), StopAndDisable, Occasion{})[0].Step.(*Service)
	needed, err := s.Needed(ctx, h)
	if !needed || err != nil {
		return false, err
	}
	return true, s.Apply(ctx, h)
}

func purgeModule(ctx context.Context, h *Host, f *health.Facts) (bool, error) {
	if _, ok := host.FindTool(h.Root, "semodule"); !ok {
		return false, nil
	}
	if store := f.SELinux.Store; !store.Known() || store.Value.State == selinux.ModuleAbsent {
		return false, store.Err
	}
	return true, selinux.Remove(ctx, h.Root, f.SELinux.PolicyType.Value, purgeStoreWait)
}

func purgeUser(ctx context.Context, h *Host, _ *health.Facts) (bool, error) {
	u, err := fileUser(h, host.Connectors[0].ScanAccount)
	if err != nil || u == nil {
		return false, err
	}
	return true, h.accountTool(ctx, "userdel", u.Name)
}

// purgeGroup looks for the group on its own: userdel takes it along, or leaves it behind where login.defs says USERGROUPS_ENAB no.
func purgeGroup(ctx context.Context, h *Host, _ *health.Facts) (bool, error) {
	g, err := fileGroup(h, host.Connectors[0].ScanAccount)
	if err != nil || g == nil {
		return false, err
	}
	return true, h.accountTool(ctx, "groupdel", g.Name)
}

// purgePath is where a thing itself is, which may be a link: what that leads to is another's, and stays.
func purgePath(h *Host, name string) (string, error) {
	dir, err := h.Root.Path(filepath.Dir(name))
	return filepath.Join(dir, filepath.Base(name)), err
}

// purgeTree removes a folder, a file or a link. Where another file system is mounted, its folder cannot be removed (EBUSY, rmdir(2)), and is done with
// once no file is left.
func purgeTree(name string) func(context.Context, *Host, *health.Facts) (bool, error) {
	return func(_ context.Context, h *Host, _ *health.Facts) (bool, error) {
		path, err := purgePath(h, name)
		if err != nil {
			return false, err
		}
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		held := holdsFiles(path)
		if err := os.RemoveAll(path); !errors.Is(err, unix.EBUSY) || holdsFiles(path) {
			return true, err
		}
		return held, nil
	}
}

// holdsFiles reports whether there is anything but folders at a path, or something that could not be looked at.
func holdsFiles(path string) bool {
	return filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			err = fs.ErrExist
		}
		return err
	}) != nil
}

// purgeEmpty removes a folder that others may have files in. A link in its place is not ours.
func purgeEmpty(name string) func(context.Context, *Host, *health.Facts) (bool, error) {
	return func(_ context.Context, h *Host, _ *health.Facts) (bool, error) {
		path, err := purgePath(h, name)
		if err != nil {
			return false, err
		}
		if fi, err := os.Lstat(path); err != nil || !fi.IsDir() {
			return false, ignoreNotExist(err)
		}
		entries, err := os.ReadDir(path)
		if len(entries) > 0 || errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		err = os.Remove(path)
		if errors.Is(err, unix.EBUSY) { // another file system is mounted there
			return false, nil
		}
		return true, err
	}
}
