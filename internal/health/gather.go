package health

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/ampconnector/amp/bpf"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/policy"
	"github.com/ampconnector/amp/selinux"
)

// Options says what is looked at.
type Options struct {
	Root   string // directory that stands for /; "" and "/" are the running host
	Kernel string // release to judge; "" is the running kernel, or the only one of an image
	Daemon bool   // the daemon asks: it is a connector itself, and what bpf(2) answers is an answer to it
}

// Gather reads the facts once, each room what it knows. What could not be read is an Err in its Reading; Gather itself has no error.
func Gather(ctx context.Context, o Options) *Facts {
	r := host.At(o.Root)
	f := &Facts{At: time.Now(), Daemon: o.Daemon}
	f.Host = host.Gather(ctx, r, host.Options{Kernel: o.Kernel})
	f.Connector, f.Found = pickConnector(f.Host.Connectors, o.Daemon)
	f.SELinux = selinux.Gather(ctx, r, selinux.Options{Unit: f.Connector.Unit, Binary: f.Connector.Binary, Needs: needs(f)})
	f.BPF = bpf.Gather(ctx, r)
	f.Policy = readPolicy(r, f.Connector.PolicyFile)
	return f
}

// pickConnector chooses the row that predicates read: the first that is installed, else ours. The daemon is a connector even
// where no package put it.
func pickConnector(installed []host.Connector, daemon bool) (host.Connector, bool) {
	if len(installed) > 0 {
		return installed[0], true
	}
	return host.Connectors[0], daemon
}

// needs is what the connector's programs want from the policy. Of the vendor's only the rule of fault 19 is known.
func needs(f *Facts) []selinux.Need {
	if f.Connector.Vendor {
		return []selinux.Need{selinux.BPFNeed}
	}
	return selinux.WouldNeed(f.Host.Kernel.Value.Release)
}

// readPolicy loads the connector's policy; a host that has none has the default one. A file that cannot be read or parsed is not replaced by a guess.
func readPolicy(r host.Root, file string) host.Reading[policy.Policy] {
	path, err := r.Path(file)
	if err != nil {
		return host.NotKnown[policy.Policy](file, err)
	}
	p, err := policy.Load(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return host.Read(policy.Default(), file+" (does not exist: the default policy)")
	case err != nil:
		return host.NotKnown[policy.Policy](file, err)
	}
	return host.Read(p, file)
}
