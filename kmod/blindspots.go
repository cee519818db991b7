package kmod

import (
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/monitor"
)

// blindSpots are what the modules cannot see; docs/events.md has them as a table.
var blindSpots = []monitor.BlindSpot{
	{Kinds: monitor.KindsOf(monitor.ModuleLoad, monitor.BPFLoad, monitor.Trace, monitor.Credentials), What: fault.Text{
		EN: "Kernel modules and eBPF programs that are loaded, ptrace and changes of user",
		JA: "カーネルモジュールと eBPF プログラムのロード、ptrace、ユーザーの変更",
	}},
	{Kinds: monitor.KindsOf(monitor.Exec), What: fault.Text{
		EN: "Arguments that are in no page of memory at the moment of the exec",
		JA: "exec の時点でメモリ上のページにない引数",
	}},
	{Kinds: monitor.KindsOf(monitor.FileCreate), What: fault.Text{
		EN: "Regular files made by mknod",
		JA: "mknod で作成された通常ファイル",
	}},
	{Kinds: monitor.KindsOf(monitor.FileMap), What: fault.Text{
		EN: "Mappings that become executable later, by mprotect; further mappings of an unchanged file within a minute",
		JA: "mprotect により後から実行可能になるマッピング、および変更のないファイルの 1 分以内の再マッピング",
	}},
	{Kinds: monitor.KindsOf(monitor.FileWrite, monitor.FileCreate), What: fault.Text{
		EN: "Files of proc, sysfs, cgroup, debugfs, tracefs, selinuxfs and the kernel's own mounts (pidfs), which hold nothing",
		JA: "proc、sysfs、cgroup、debugfs、tracefs、selinuxfs、およびカーネル内部のマウント (pidfs) のファイル (内容を保持しないもの)",
	}},
	{Kinds: monitor.KindsOf(monitor.FileCopy), What: fault.Text{
		EN: "Bytes that go through a pipe (splice), or through the process's own memory: the write of the target tells of those",
		JA: "パイプ (splice) またはプロセス自身のメモリを経由したコピー (コピー先への書き込みとして検出されます)",
	}},
	{Kinds: monitor.KindsOf(monitor.FlowClose), What: fault.Text{
		EN: "The end of TCP connections that were open before monitoring began",
		JA: "監視の開始前に確立されていた TCP 接続の終了",
	}},
	{Kinds: monitor.KindsOf(monitor.FlowOpen), What: fault.Text{
		EN: "Packets of raw sockets, and protocols other than TCP and UDP",
		JA: "RAW ソケットのパケット、および TCP と UDP 以外のプロトコル",
	}},
}
