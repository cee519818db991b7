package selinux

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/ampconnector/amp/internal/host"
)

var ours = Options{Unit: "cisco-amp.service", Binary: "/opt/cisco/amp/bin/ampdaemon", Needs: []Need{BPFNeed}}

func TestGatherLive(t *testing.T) {
	r := newRecorded(t)
	r.process(t, 1200, ours.Binary, serviceContext)
	r.answer("f ffffffff 0 ffffffff 12 0")
	f := Facts{Needs: ours.Needs}
	r.gatherLive(host.At("/"), ours, &f)
	if f.Mode.Value != Enforcing || f.Domain.Value != "unconfined_service_t" || !f.Running || f.DomainContext != serviceContext {
		t.Errorf("%+v", f)
	}
	if len(f.Access) != 1 || f.Access[0].Err != nil || len(f.Access[0].Value.Denied) != 1 || f.Access[0].Value.Denied[0] != "prog_run" {
		t.Errorf("access %+v", f.Access)
	}
	if holds, known := f.Holds(); holds || !known {
		t.Errorf("holds %v, known %v", holds, known)
	}
}

func TestGatherDisabled(t *testing.T) {
	r := newRecorded(t)
	must(t, os.RemoveAll(r.selinuxfs))
	r.file(t, "proc/filesystems", "nodev\tsysfs\n")
	f := Facts{Needs: ours.Needs}
	r.gatherLive(host.At("/"), ours, &f)
	if f.Mode.Value != Disabled || !errors.Is(f.Domain.Err, ErrDisabled) || len(f.Access) != 1 || !errors.Is(f.Access[0].Err, ErrDisabled) {
		t.Errorf("%+v", f)
	}
}

func TestGatherImage(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/etc/selinux/config", "SELINUX=enforcing\nSELINUXTYPE=targeted\n")
	write(t, root+"/usr/sbin/semodule", "#!/bin/sh\n")
	must(t, os.Chmod(root+"/usr/sbin/semodule", 0o755))
	for name, content := range at("400", Packaged) {
		write(t, root+name, content)
	}
	f := Gather(t.Context(), host.At(root), ours)
	if f.Mode.Value != Enforcing || f.PolicyType.Value != "targeted" || !f.Tools["semodule"].Value || f.Tools["semanage"].Value {
		t.Errorf("%+v", f)
	}
	for what, err := range map[string]error{"domain": f.Domain.Err, "access": f.Access[0].Err, "deny_unknown": f.DenyUnknown.Err} {
		if !errors.Is(err, host.ErrNotRunning) {
			t.Errorf("%s: %v, want ErrNotRunning", what, err)
		}
	}
	if st := f.Store; st.Err != nil || st.Value.State != ModulePresent || !st.Value.Current.Value {
		t.Errorf("store %+v", st)
	}
	write(t, root+"/usr/lib/systemd/system/cisco-amp.service", "[Service]\nSELinuxContext=system_u:system_r:amp_t:s0\n")
	f = Gather(t.Context(), host.At(root), ours)
	if f.Domain.Err != nil || f.Domain.Value != "amp_t" || f.Store.Value.Current.Value {
		t.Errorf("with a domain of its own: %+v, current %v", f.Domain, f.Store.Value.Current.Value)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if f = Gather(ended, host.At(root), ours); !errors.Is(f.Store.Err, context.Canceled) {
		t.Errorf("ended: %+v", f.Store)
	}
}

// TestGatherHere runs on the machine as it is: whatever its SELinux is, every reading has a value or a reason, and it is quick.
func TestGatherHere(t *testing.T) {
	begun := time.Now()
	f := Gather(t.Context(), host.At("/"), Options{Unit: ours.Unit, Binary: ours.Binary})
	if took := time.Since(begun); took > 100*time.Millisecond {
		t.Logf("took %s", took)
	}
	if f.Mode.Err == nil && f.Mode.Value == "" || f.Domain.Err == nil && f.Domain.Value == "" || f.Store.Err == nil && f.Store.Value.State == "" {
		t.Errorf("a reading without value and reason: %+v", f)
	}
	if len(f.Access) != len(f.Needs) || len(f.Needs) == 0 {
		t.Errorf("%d answers for %d needs", len(f.Access), len(f.Needs))
	}
}

func BenchmarkGather(b *testing.B) {
	for b.Loop() {
		Gather(b.Context(), host.At("/"), ours)
	}
}
