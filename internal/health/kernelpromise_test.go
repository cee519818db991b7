package health

import (
	"strings"
	"syscall"
	"testing"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
)

// Fault 16 shows what is promised of the kernel beside what it answers, and of one that is not in the table that it was not tested.
func TestPromiseOfARefusingKernel(t *testing.T) {
	for _, c := range []struct {
		d       host.Distribution
		release string
		says    string
	}{
		{host.Distribution{ID: "debian", VersionID: "12"}, "6.1.0-57-amd64", "Debian 12, 6.1: eBPF programs load, by the kernel's own BTF; tested in guests"},
		{host.Distribution{ID: "ubuntu", VersionID: "20.04"}, "5.4.0-91-generic", "too old for the connector's eBPF programs, which need a ring buffer (Linux 5.8); by its version, not tested"},
		{host.Distribution{ID: "ol", VersionID: "8.5"}, "4.18.0-372.el8.x86_64", "nothing is promised, its answer alone counts; by its version, not tested"},
		{host.Distribution{ID: "alpine"}, "6.6.1-0-lts", "not one that this version was tested with"},
	} {
		f := sound()
		f.Host.Distribution.Value, f.Host.Kernel = c.d, host.Read(host.Kernel{Release: c.release}, "uname -r")
		f.BPF.Load = host.NotKnown[bool]("bpf(2)", syscall.EINVAL)
		got, _ := CheckOne(f, 16)
		said := ""
		for _, e := range got.Evidence {
			if e.What == wordPromise.EN {
				said = e.Read
				if e.In(fault.Japanese).Read == e.Read {
					t.Errorf("%s: in Japanese it is %q", c.release, e.Read)
				}
			}
		}
		if got.State != fault.Raised || !strings.Contains(said, c.says) {
			t.Errorf("%s: %s, %q; expected %q", c.release, got.State, said, c.says)
		}
	}
	for _, row := range host.KernelPromises {
		if words := PromiseText(row); strings.Contains(words.EN, ": ;") || words.JA == words.EN {
			t.Errorf("%+v: %+v", row, words)
		}
	}
}
