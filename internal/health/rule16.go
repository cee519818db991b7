package health

import (
	"errors"
	"syscall"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/selinux"
)

// Causes of fault 16.
const (
	CauseProgramsRefused = "programs-refused"
	CauseNoLayouts       = "no-layouts" // the kernel offers no BTF, and this version has no other source of its structures' layouts
)

// rule16 reports fault 16: no full source can work on the running kernel. What the connector's own source meets decides, since it is the
// real thing; else a small program of the kind that it loads.
type rule16 struct{}

func (rule16) ID() fault.ID { return 16 }

func (rule16) Check(f *Facts) fault.Finding {
	q := &inquiry{}
	if !f.Found {
		return q.absent(f)
	}
	if !q.switchOn(f, wordMonitoring, monitorAny) {
		return q.notApplicable(bothOff)
	}
	if r := f.Host.Kernel; r.Known() {
		q.saw(fault.Text{EN: "release of the kernel", JA: "カーネルのリリース"}, fault.Verbatim(r.Value.Release), r.From, onlyContext)
	}
	if !f.Host.Live {
		q.missing(wordPrograms, "bpf(2)", wordLoad, host.ErrNotRunning)
		return q.finding(fault.Text{})
	}
	if m := f.Monitoring; m.Known() && full(m.Value.Source) {
		q.saw(wordPrograms, fault.Text{EN: "loaded and attached (%s)", JA: "ロードおよびアタッチ済み (%s)"}.With(m.Value.Hooks), m.From, wordLoad)
		return q.finding(fault.Text{EN: "the connector's eBPF programs are loaded and attached", JA: "コネクタの eBPF プログラムはロードおよびアタッチされています"})
	}
	return q.probed(f)
}

var (
	wordPrograms = fault.Text{EN: "eBPF programs", JA: "eBPF プログラム"}
	wordLoad     = fault.Text{EN: "can be loaded", JA: "ロードできること"}
)

func full(s monitor.SourceName) bool {
	return s != monitor.NoSource && s != monitor.Degraded && s != ""
}

// probed judges by the probe, and by what the daemon met when it opened its source.
func (q *inquiry) probed(f *Facts) fault.Finding {
	load := f.BPF.Load
	switch {
	case errors.Is(load.Err, selinux.ErrRefused), selinuxRefuses(f):
		// The kernel itself may be fine: that is fault 19.
		q.missing(wordPrograms, load.From, wordLoad, errBehindSELinux)
		return q.finding(fault.Text{})
	case kernelRefused(f):
		q.saw(wordPrograms, fault.Text{EN: "refused: %v", JA: "拒否: %v"}.With(load.Err), load.From, wordLoad)
		q.deviates(CauseProgramsRefused, fault.Text{
			EN: "the kernel refuses eBPF programs: " + load.Err.Error(),
			JA: "カーネルが eBPF プログラムを拒否します: " + load.Err.Error(),
		})
		return q.finding(fault.Text{})
	}
	if m := f.Monitoring; m.Known() && m.Value.Error != "" && full(m.Value.Chosen) {
		q.saw(wordPrograms, fault.Text{EN: "refused: %v", JA: "拒否: %v"}.With(m.Value.Error), m.From, wordLoad)
		q.deviates(CauseProgramsRefused, fault.Text{
			EN: "the kernel refuses the connector's eBPF programs: " + m.Value.Error,
			JA: "カーネルがコネクタの eBPF プログラムを拒否します: " + m.Value.Error,
		})
		return q.finding(fault.Text{})
	}
	if has, ok := q.btf(f); ok && !has {
		return q.withoutBTF(f)
	}
	if load.Err != nil {
		q.missing(wordPrograms, load.From, wordLoad, load.Err)
		return q.finding(fault.Text{})
	}
	q.saw(wordPrograms, fault.Text{EN: "loaded", JA: "ロード可能"}, load.From, wordLoad)
	return q.finding(fault.Text{EN: "the kernel lets eBPF programs load", JA: "カーネルは eBPF プログラムのロードを許可しています"})
}

var (
	errBehindSELinux = errors.New("SELinux refuses them before the kernel looks at them")
	errNeedsHeaders  = errors.New("without the headers of this kernel")
)

// withoutBTF judges a kernel that offers none: with its headers missing it is fault 11 that is to be mended first.
func (q *inquiry) withoutBTF(f *Facts) fault.Finding {
	if h := f.Host.Kernel.Value.Headers; !h.Value.Right(f.Host.Kernel.Value.Release) {
		q.missing(wordPrograms, h.From, wordLoad, errNeedsHeaders)
		return q.finding(fault.Text{})
	}
	q.deviates(CauseNoLayouts, fault.Text{
		EN: "the kernel offers no BTF, and this version of the connector cannot work from its headers",
		JA: "カーネルは BTF を提供しておらず、このバージョンのコネクタはヘッダーからのレイアウト導出に対応していません",
	})
	return q.finding(fault.Text{})
}

// selinuxRefuses reports whether fault 19 is there.
func selinuxRefuses(f *Facts) bool { return (rule19{}).Check(f).State == fault.Raised }

// kernelRefused reports whether the probe met the kernel's own refusal. A refusal for want of rights may be meant for the asking process
// alone, unless that is the daemon.
func kernelRefused(f *Facts) bool {
	var errno syscall.Errno
	return errors.As(f.BPF.Load.Err, &errno) && (f.Daemon || errno != syscall.EPERM && errno != syscall.EACCES)
}
