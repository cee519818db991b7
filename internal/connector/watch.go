package connector

import (
	"context"
	"path"
	"sync"

	"github.com/ampconnector/amp/bpf"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/policy"
)

// watch listens for changes of the host until ctx ends. What cannot be watched is seen by the periodic evaluation, a minute late at most.
func (c *core) watch(ctx context.Context) {
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() {
		err := c.WatchPolicy(ctx, func() { c.note("SELinux policy or mode") })
		if err != nil && ctx.Err() == nil {
			c.Log.Warn("changes of the SELinux policy cannot be watched", "error", err)
		}
	})
	follow, err := c.Watch(ctx, c.note)
	if err != nil {
		c.Log.Warn("changes of files or mounts cannot be watched", "error", err)
	}
	if follow == nil {
		return
	}
	select {
	case c.follows <- follow:
	case <-ctx.Done():
	}
}

// note tells the loop of a change. One that finds the queue full is not lost: those in it lead to an evaluation that comes after it.
func (c *core) note(what string) {
	select {
	case c.changes <- what:
	default:
	}
}

// follow names the paths that matter on this host to whoever watches.
func (c *core) follow() {
	if c.following != nil && c.facts != nil {
		c.following(pathsOf(c.facts))
	}
}

// pathsOf lists the files and directories that the facts were read from and that others change.
func pathsOf(f *health.Facts) []string {
	paths := []string{"/etc/passwd", "/etc/group", "/etc/shadow", "/etc/login.defs", "/etc/nsswitch.conf", "/etc/selinux/config", f.Connector.PolicyFile, policy.ExclusionPath, bpf.KernelBTFPath}
	for _, d := range f.Connector.Directories {
		paths = append(paths, d.Path)
	}
	paths = append(paths, layoutPaths(f)...)
	if t := f.SELinux.PolicyType; t.Known() && t.Value != "" {
		// semodule replaces "active" when it commits (libsemanage; /etc/selinux is where Enterprise Linux 7 has its store).
		paths = append(paths, path.Join("/var/lib/selinux", t.Value, "active"), path.Join("/etc/selinux", t.Value, "active"))
	}
	return paths
}

// layoutPaths are where the layouts of a kernel without BTF may come from: its build link, which the header package brings, and what tells that
// the tree behind it is whole; the folders for files of an administrator; and where compilers come and go, and
// packages are recorded.
func layoutPaths(f *health.Facts) []string {
	kernel := f.Host.Kernel.Value
	if l := f.BPF.Layouts; kernel.Release == "" || l.Known() && l.Value.Stamp == "" { // it has its own
		return nil
	}
	paths := append([]string{"/usr/bin/make", "/usr/bin/gcc"}, bpf.PackageRecords...)
	paths = append(paths, f.LayoutStore().Places(host.At(f.Host.Root), kernel.Release)...)
	link := path.Join("/lib/modules", kernel.Release, "build")
	for _, part := range []string{"", "Makefile", "Module.symvers", "include/generated/autoconf.h", "include/config/auto.conf"} {
		paths = append(paths, path.Join(link, part))
	}
	return paths
}
