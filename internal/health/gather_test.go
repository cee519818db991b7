package health

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/selinux"
)

// refusedTo is an enforcing host that refuses bpf(2) to the domain of the service, in which the process that asks runs too.
func refusedTo(f *Facts) {
	no := selinux.Access{Need: selinux.BPFNeed, ClassKnown: true, Denied: selinux.BPFNeed.Permissions}
	f.SELinux.Access[0].Value = no
	f.SELinux.Own = []host.Reading[selinux.Access]{host.Read(no, "/sys/fs/selinux/access")}
	f.SELinux.OwnContext = f.SELinux.DomainContext
}

// While fault 19 lasts nothing is tried, and the choice stays the same; as soon as the rule holds the kernel is tried again.
func TestGatherBPFWhileFault19Lasts(t *testing.T) {
	live := host.At("/")
	f := sound()
	f.Daemon = true
	refusedTo(f)
	f.BPF = gatherBPF(t.Context(), live, f.SELinux)
	if !errors.Is(f.BPF.Load.Err, selinux.ErrRefused) {
		t.Errorf("bpf(2) was tried: %+v", f.BPF.Load)
	}
	if tried := gatherBPF(t.Context(), live, sound().SELinux); tried.KernelBTF.Value != f.BPF.KernelBTF.Value || tried.KernelBTF.From != f.BPF.KernelBTF.From {
		t.Errorf("BTF %+v, and %+v where bpf(2) is tried", f.BPF.KernelBTF, tried.KernelBTF)
	}
	if got := Choose(f); got.Source == monitor.EBPFKernelBTF || !strings.Contains(got.Reason.EN, "fault 19") {
		t.Errorf("choice %+v", got)
	}
	f.SELinux = sound().SELinux
	f.SELinux.Own = slices.Clone(f.SELinux.Access)
	if f.BPF = gatherBPF(t.Context(), live, f.SELinux); errors.Is(f.BPF.Load.Err, selinux.ErrRefused) {
		t.Errorf("bpf(2) was not tried: %v", f.BPF.Load.Err)
	}
	if got := Choose(f); strings.Contains(got.Reason.EN, "fault 19") || f.BPF.Load.Value && f.BPF.KernelBTF.Value && got.Source != monitor.EBPFKernelBTF {
		t.Errorf("choice %+v", got)
	}
}

func TestGatherBPFOfAnImage(t *testing.T) {
	f := sound()
	refusedTo(f)
	if got := gatherBPF(t.Context(), host.At(t.TempDir()), f.SELinux); !errors.Is(got.Load.Err, host.ErrNotRunning) {
		t.Errorf("%+v: this kernel says nothing of an image", got.Load)
	}
}

// What SELinux refuses to the daemon is an answer; what it refuses to another program is none.
func TestSupportThatIsRefused(t *testing.T) {
	f := sound()
	refusedTo(f)
	f.SELinux.Domain = host.NotKnown[string]("/proc/412/attr/current", errDenied) // so that fault 19 cannot be told
	f.BPF.Load = host.NotKnown[bool]("bpf(2)", f.SELinux.Refusal())
	for _, daemon := range []bool{true, false} {
		f.Daemon = daemon
		if got := inputs(f).BPF; got.Known != daemon || got.Yes || !strings.Contains(got.Reason.EN, "has no right to map_create") {
			t.Errorf("daemon %v: %+v", daemon, got)
		}
	}
}

// The folder with BTF files is that of the policy as it is now: each evaluation reads it.
func TestBTFFolderOfThePolicy(t *testing.T) {
	const release = "6.1.0-56-amd64"
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	put("/boot/config-"+release, "CONFIG_BPF_SYSCALL=y\n# CONFIG_DEBUG_INFO_BTF is not set\n")
	put("/lib/modules/"+release+"/modules.dep", "")
	header := string(binary.NativeEndian.AppendUint16(nil, 0xeb9f)) + strings.Repeat("\x00", 30)
	for _, c := range []struct{ policy, file, from, reason string }{
		{`<kernel btf="/srv/a"/>`, "/srv/a/" + release + ".btf", "/srv/a/" + release + ".btf", "it is in /srv/a/" + release + ".btf"},
		{`<kernel btf="/srv/b"/>`, "/srv/b/" + release + ".btf", "/srv/b/" + release + ".btf", "it is in /srv/b/" + release + ".btf"},
		{`<kernel btf="/srv/c"/>`, "/srv/b/" + release + ".btf", "/lib/modules/" + release + "/build", "/srv/c is not used: it cannot be read"},
		{"", "/srv/b/" + release + ".btf", "/lib/modules/" + release + "/build", "the header package of this kernel is not installed"},
	} {
		put("/opt/cisco/amp/etc/policy.xml", `<policy version="1">`+c.policy+`</policy>`)
		put(c.file, header)
		f := Gather(t.Context(), Options{Root: dir, Kernel: release, Daemon: true})
		if got := f.BPF.Layouts; !got.Known() || got.From != c.from {
			t.Errorf("%s: %+v, expected from %s", c.policy, got, c.from)
		}
		f.BPF.KernelBTF = host.Read(false, "as of a host that runs")
		if got := Choose(f); !strings.Contains(got.Reason.EN, c.reason) {
			t.Errorf("%s: %s, expected %q in it", c.policy, got.Reason.EN, c.reason)
		}
	}
}
