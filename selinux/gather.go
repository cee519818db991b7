package selinux

import (
	"context"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/host"
)

// Options says which service the facts are about.
type Options struct {
	Unit   string // systemd unit
	Binary string // the daemon's program file
	Needs  []Need // what to ask about; nil is WouldNeed of the running kernel
}

// tools are the programs that change policy, by name.
var tools = []string{"semodule", "semanage"}

// Gather reads what is known of SELinux below a root. It changes nothing, needs no command, and takes a few milliseconds.
func Gather(ctx context.Context, r host.Root, o Options) Facts {
	return running().gather(ctx, r, o)
}

func (k kernel) gather(ctx context.Context, r host.Root, o Options) Facts {
	f := Facts{Needs: o.Needs, Tools: map[string]host.Reading[bool]{}}
	if f.Needs == nil {
		f.Needs = WouldNeed(runningRelease())
	}
	f.Configured, f.PolicyType = configured(r)
	for _, name := range tools {
		path, ok := host.FindTool(r, name)
		if !ok {
			path = name
		}
		f.Tools[name] = host.Read(ok, path)
	}
	if r.Live() {
		k.gatherLive(r, o, &f)
	} else {
		k.gatherImage(r, o, &f)
	}
	if ctx.Err() != nil {
		f.Store = host.NotKnown[Store]("/var/lib/selinux", ctx.Err())
		return f
	}
	f.Store = readStore(r, f.PolicyType, f.wantedCIL())
	return f
}

func (k kernel) gatherLive(r host.Root, o Options, f *Facts) {
	f.Mode = k.mode()
	err := f.Mode.Err
	if err == nil && f.Mode.Value == Disabled {
		err = ErrDisabled
	}
	if err != nil {
		f.withoutKernel(f.Mode.From, err)
		return
	}
	f.DenyUnknown = k.denyUnknown()
	d, err := k.findDomain(r, o)
	f.setDomain(d, err)
	for _, n := range f.Needs {
		if f.Domain.Err != nil {
			f.Access = append(f.Access, host.NotKnown[Access](f.Domain.From, f.Domain.Err))
			continue
		}
		f.Access = append(f.Access, k.access(f.DomainContext, n))
	}
	k.gatherOwn(f)
}

// gatherOwn asks what this process may do of what our programs need on the running kernel, whatever the connector is that Needs is about.
func (k kernel) gatherOwn(f *Facts) {
	from := filepath.Join(k.proc, "self/attr/current")
	context, err := readSmall(from)
	for _, n := range WouldNeed(runningRelease()) {
		if err != nil {
			f.Own = append(f.Own, host.NotKnown[Access](from, err))
			continue
		}
		f.OwnContext = context
		f.Own = append(f.Own, k.access(context, n))
	}
}

// gatherImage fills in what files alone tell: a domain that the unit names.
func (k kernel) gatherImage(r host.Root, o Options, f *Facts) {
	f.Mode = f.Configured
	f.withoutKernel(k.selinuxfs, host.ErrNotRunning)
	if context, from, err := unitContext(r, o.Unit); err != nil || context != "" {
		f.setDomain(domain{context: context, from: from}, err)
	}
}

func (f *Facts) setDomain(d domain, err error) {
	typ := ""
	if err == nil {
		typ, err = typeOf(d.context)
	}
	f.Domain = host.Reading[string]{Value: typ, From: d.from, Err: err}
	f.DomainContext, f.Running = d.context, d.running
}

// withoutKernel says of everything that only the kernel can answer why it is not known.
func (f *Facts) withoutKernel(from string, err error) {
	f.DenyUnknown = host.NotKnown[bool](from, err)
	f.Domain = host.NotKnown[string](from, err)
	f.Access = nil
	for range f.Needs {
		f.Access = append(f.Access, host.NotKnown[Access](from, err))
	}
}

// Domains is what a module has to be made for: the service's domain, or where that is not known the one that services without a policy of
// their own run in.
func (f Facts) Domains() []string {
	if f.Domain.Known() && validType(f.Domain.Value) {
		return []string{f.Domain.Value}
	}
	return []string{host.DefaultDomain}
}

func (f Facts) wantedCIL() string {
	cil, err := ModuleCIL(f.Domains(), f.Needs)
	if err != nil {
		return ""
	}
	return cil
}

// Holds reports whether the kernel allows all that was asked about; known is false where one of the answers is not known and none is no.
func (f Facts) Holds() (holds, known bool) {
	for _, a := range f.Access {
		if a.Known() && (len(a.Value.Denied) > 0 || f.DenyUnknown.Known() && !a.Value.Holds(f.DenyUnknown.Value)) {
			return false, true
		}
	}
	unknown := slices.ContainsFunc(f.Access, func(a host.Reading[Access]) bool {
		return !a.Known() || len(a.Value.Missing) > 0 && !f.DenyUnknown.Known()
	})
	return !unknown && len(f.Access) > 0, !unknown && len(f.Access) > 0
}

func runningRelease() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}
