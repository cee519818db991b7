package degraded

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/monitor"
)

// Parts says which parts of the degraded source a host has.
type Parts struct {
	Files     monitor.Support // fanotify
	Processes monitor.Support // the process connector
	Flows     monitor.Support // sock_diag
}

// Probe opens each part for real, with the rights of the calling process and in its namespaces, and closes it again. It
// takes less than a millisecond, or 200 ms where the process connector does not answer. What ctx did not leave time for is not known.
func Probe(ctx context.Context) Parts {
	try := func(part int, open func() (interface{ close() error }, error)) monitor.Support {
		if err := ctx.Err(); err != nil {
			return monitor.Support{Reason: fault.Verbatim(err.Error())}
		}
		o, err := open()
		if err == nil {
			o.close()
		}
		if ctx.Err() != nil && err != nil {
			return monitor.Support{Reason: fault.Verbatim(err.Error())}
		}
		return support(part, err)
	}
	return Parts{
		Files: try(partFiles, func() (interface{ close() error }, error) {
			return openFiles(options{groups: namedGroups, mounts: hostMounts("/proc")})
		}),
		Processes: try(partProcesses, func() (interface{ close() error }, error) { return openProcConnector(ctx) }),
		Flows:     try(partFlows, func() (interface{ close() error }, error) { return openFlows() }),
	}
}

// support is what an attempt to open a part says. What went wrong for no reason that is known may go right the next time.
func support(part int, err error) monitor.Support {
	if err == nil {
		return monitor.Support{Yes: true, Known: true, Reason: fault.Text{EN: "%s works", JA: "%s は動作します"}.With(partNames[part])}
	}
	reason, known := reasonOf(part, err)
	return monitor.Support{Known: known, Reason: fault.Text{EN: "%s: %s", JA: "%s: %s"}.With(partNames[part], reason)}
}

// Support is the answer for the source, which needs one of its parts.
func (p Parts) Support() monitor.Support {
	var no []fault.Text
	known := true
	for _, s := range []monitor.Support{p.Files, p.Processes, p.Flows} {
		if s.Yes {
			return s
		}
		known = known && s.Known
		no = append(no, s.Reason)
	}
	return monitor.Support{Known: known, Reason: fault.Join(no, fault.Text{EN: "; ", JA: "。"})}
}

// partNames are the parts by index.
var partNames = [...]fault.Text{
	partFiles:     fault.Verbatim("fanotify"),
	partProcesses: {EN: "process connector", JA: "プロセスコネクタ"},
	partFlows:     fault.Verbatim("sock_diag"),
}

// reasons are what the kernel's refusals mean.
var reasons = [...][]struct {
	err  error
	text fault.Text
}{
	partFiles: {
		{unix.ENOSYS, fault.Text{EN: "the kernel was built without CONFIG_FANOTIFY", JA: "カーネルが CONFIG_FANOTIFY なしでビルドされています"}},
		{unix.EPERM, fault.Text{EN: "this process does not have CAP_SYS_ADMIN in the initial user namespace", JA: "このプロセスは初期ユーザー名前空間で CAP_SYS_ADMIN を持っていません"}},
		{unix.EMFILE, fault.Text{
			EN: "the user has as many fanotify groups or open files as it may: /proc/sys/fs/fanotify/max_user_groups, ulimit -n",
			JA: "ユーザーの fanotify グループ数または開いているファイル数が上限に達しています: /proc/sys/fs/fanotify/max_user_groups、ulimit -n",
		}},
	},
	partProcesses: {
		{errSilent, fault.Text{EN: "it does not answer: the kernel was built without CONFIG_PROC_EVENTS", JA: "応答がありません。カーネルが CONFIG_PROC_EVENTS なしでビルドされています"}},
		{errNamespace, fault.Text{EN: "it answers only in the initial user, pid and network namespaces, and this process is in others", JA: "初期のユーザー、PID、ネットワーク名前空間でのみ応答しますが、このプロセスは別の名前空間にあります"}},
		{unix.EPROTONOSUPPORT, fault.Text{EN: "the kernel was built without CONFIG_CONNECTOR, or its module is not there", JA: "カーネルが CONFIG_CONNECTOR なしでビルドされているか、そのモジュールがありません"}},
		{unix.EPERM, fault.Text{EN: "this process does not have CAP_NET_ADMIN in the initial user namespace", JA: "このプロセスは初期ユーザー名前空間で CAP_NET_ADMIN を持っていません"}},
	},
	partFlows: {
		{unix.EPROTONOSUPPORT, fault.Text{EN: "the kernel was built without CONFIG_INET_DIAG, or its module is not there", JA: "カーネルが CONFIG_INET_DIAG なしでビルドされているか、そのモジュールがありません"}},
		{unix.ENOENT, fault.Text{EN: "the kernel was built without CONFIG_INET_TCP_DIAG, or the module tcp_diag is not there", JA: "カーネルが CONFIG_INET_TCP_DIAG なしでビルドされているか、モジュール tcp_diag がありません"}},
		{unix.EACCES, fault.Text{EN: "a security policy refuses it", JA: "セキュリティポリシーによって拒否されました"}},
	},
}

// reasonOf puts the reason into words. known is false for an error that nobody has an explanation for.
func reasonOf(part int, err error) (reason fault.Text, known bool) {
	for _, r := range reasons[part] {
		if errors.Is(err, r.err) {
			return r.text, true
		}
	}
	return fault.Verbatim(err.Error()), false
}
