package health

import (
	"errors"
	"slices"
	"syscall"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/selinux"
)

// Causes of fault 16.
const (
	CauseProgramsRefused = "programs-refused"
	CauseNoCompiler      = "no-compiler"         // the kernel offers no BTF, and what compiles against its headers is missing
	CauseNotDerived      = "layouts-not-derived" // the layouts of its structures cannot be had from the file, or the headers, that are there
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
	if !f.Runs() {
		q.missing(wordPrograms, "bpf(2)", wordLoad, host.ErrNotRunning)
		return q.finding(fault.Text{})
	}
	if q.readsModules(f) {
		return q.finding(modulesRead)
	}
	if m := f.Monitoring; m.Known() && full(m.Value.Source) {
		q.saw(wordPrograms, fault.Text{EN: "loaded and attached (%s)", JA: "ロードおよびアタッチ済み (%s)"}.With(m.Value.Hooks), m.From, wordLoad)
		return q.finding(fault.Text{EN: "the connector's eBPF programs are loaded and attached", JA: "コネクタの eBPF プログラムはロードおよびアタッチされています"})
	}
	return q.probed(f)
}

var (
	wordModules  = fault.Text{EN: "kernel modules", JA: "カーネルモジュール"}
	wordPrograms = fault.Text{EN: "eBPF programs", JA: "eBPF プログラム"}
	wordLoad     = fault.Text{EN: "can be loaded", JA: "ロードできること"}
)

var modulesRead = fault.Text{
	EN: "the connector's kernel modules are loaded and read", JA: "コネクタのカーネルモジュールはロードされ、イベントが読み取られています",
}

// readsModules reports whether the daemon monitors by the kernel modules, which need neither eBPF nor BTF, nor headers once they are built.
func (q *inquiry) readsModules(f *Facts) bool {
	m := f.Monitoring
	if !f.Runs() || !m.Known() || m.Value.Source != monitor.Modules {
		return false
	}
	q.saw(wordModules, wordPresent, m.From, wordLoad)
	return true
}

func full(s monitor.SourceName) bool {
	return s != monitor.NoSource && s != monitor.Degraded && s != ""
}

// probed judges by the probe, and by what the daemon met when it opened its source.
func (q *inquiry) probed(f *Facts) fault.Finding {
	load := f.BPF.Load
	q.promise(f)
	switch {
	case errors.Is(load.Err, selinux.ErrRefused), selinuxRefuses(f):
		// The kernel itself may be fine: that is fault 19.
		q.missing(wordPrograms, load.From, wordLoad, errBehindSELinux)
		return q.finding(fault.Text{})
	case kernelRefused(f):
		q.saw(wordPrograms, fault.Text{EN: "refused: %v", JA: "拒否: %v"}.With(load.Err), load.From, wordLoad)
		q.deviates(CauseProgramsRefused, fault.Text{
			EN: "the kernel refuses eBPF programs: " + onOneLine(load.Err.Error()),
			JA: "カーネルが eBPF プログラムを拒否します: " + onOneLine(load.Err.Error()),
		})
		return q.finding(fault.Text{})
	}
	if m := f.Monitoring; m.Known() && m.Value.Error != "" && full(m.Value.Chosen) && m.Value.Chosen != monitor.Modules && !refusedLayouts(m.Value) {
		q.saw(wordPrograms, fault.Text{EN: "refused: %v", JA: "拒否: %v"}.With(m.Value.Error), m.From, wordLoad)
		q.deviates(CauseProgramsRefused, fault.Text{
			EN: "the kernel refuses the connector's eBPF programs: " + onOneLine(m.Value.Error),
			JA: "カーネルがコネクタの eBPF プログラムを拒否します: " + onOneLine(m.Value.Error),
		})
		return q.finding(fault.Text{})
	}
	if load.Known() && !f.Daemon && daemonRefused(f) {
		q.missing(wordPrograms, f.Monitoring.From, wordLoad, errOnlyDaemon)
		return q.finding(fault.Text{})
	}
	if has, ok := q.btf(f); ok && !has {
		if answer, decided := q.withoutBTF(f); decided {
			return answer
		}
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
	errOnlyDaemon    = errors.New("this program may load them, and the connector goes without them: ampcli status says what refuses them to its service, or it has not looked again yet")
)

// selinuxRefuses reports whether fault 19 is there.
func selinuxRefuses(f *Facts) bool { return (rule19{}).Check(f).State == fault.Raised }

// passing are errors of a host that is short of something, or of a call that was interrupted. They say nothing of what the kernel lets load: the source
// that is open need not be given up for them.
var passing = []syscall.Errno{syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE, syscall.EAGAIN, syscall.EINTR}

// kernelRefused reports whether the probe met the kernel's own refusal. A refusal for want of rights may be meant for the asking process
// alone, unless that is the daemon, or the daemon met one too.
func kernelRefused(f *Facts) bool {
	var errno syscall.Errno
	if !errors.As(f.BPF.Load.Err, &errno) || slices.Contains(passing, errno) {
		return false
	}
	return f.Daemon || errno != syscall.EPERM && errno != syscall.EACCES || daemonRefused(f)
}

// daemonRefused reports whether the kernel refuses programs to the daemon: where it offers BTF, and SELinux refuses nothing, the daemon has no other
// reason to choose a source without them.
func daemonRefused(f *Facts) bool {
	m, btf := f.Monitoring, f.BPF.KernelBTF
	if f.Connector.Vendor || forced(f.Policy) || !m.Known() || full(m.Value.Chosen) || m.Value.Chosen == "" || !btf.Known() || !btf.Value {
		return false
	}
	state := (rule19{}).Check(f).State
	return state == fault.Clear || state == fault.NotApplicable
}
