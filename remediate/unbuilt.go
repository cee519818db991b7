package remediate

import "github.com/ampconnector/amp/internal/fault"

// unbuilt are the faults that this version neither judges nor mends: where a person finds what the diagnosis would rest on, and the
// commands that show it.
var unbuilt = map[fault.ID]remedy{
	6: {
		sources: []fault.Text{
			{EN: "/var/log/cisco/ampdaemon.log and /var/log/cisco/ampscansvc.log", JA: "/var/log/cisco/ampdaemon.log および /var/log/cisco/ampscansvc.log"},
			{EN: "the journal of the unit cisco-amp.service", JA: "ユニット cisco-amp.service のジャーナル"},
		},
		commands: []string{"journalctl -u cisco-amp.service", "dmesg | grep -i -e oom -e segfault"},
	},
	7: {
		sources: []fault.Text{
			{EN: "the definitions in /var/lib/cisco/amp/definitions", JA: "/var/lib/cisco/amp/definitions の定義ファイル"},
			{EN: "the engine's library libclamav.so", JA: "エンジンのライブラリ libclamav.so"},
			{EN: "/proc/meminfo", JA: "/proc/meminfo"},
		},
		commands: []string{"ldconfig -p | grep libclamav", "free -m", "journalctl -u cisco-amp.service"},
	},
	8: {sources: moduleSources, commands: moduleCommands("ampfsm")},
	9: {sources: moduleSources, commands: moduleCommands("ampnetworkflow")},
	11: {
		sources: []fault.Text{
			{EN: "/sys/kernel/btf/vmlinux", JA: "/sys/kernel/btf/vmlinux"},
			{EN: "/lib/modules/RELEASE/build, RELEASE being what uname -r prints", JA: "/lib/modules/RELEASE/build (RELEASE は uname -r の出力)"},
		},
		commands: []string{"ls -l /sys/kernel/btf/vmlinux", "ls -lL /lib/modules/$(uname -r)/build"},
	},
	16: {
		sources: []fault.Text{
			{EN: "uname -r", JA: "uname -r"},
			{EN: "the kernel's answer to bpf(2)", JA: "bpf(2) に対するカーネルの応答"},
		},
		commands: []string{"uname -r", "bpftool feature probe kernel"},
	},
	18: {
		sources: []fault.Text{
			{EN: "the connector's counters of handled and lost events", JA: "コネクタが数えた、処理済みおよび失われたイベントの数"},
			{EN: "/proc/PID/stat of the busiest processes", JA: "特に活発なプロセスの /proc/PID/stat"},
		},
		commands: []string{"ampcli status -v", "top -b -n 1"},
	},
}

// moduleSources is what faults 8 and 9 rest on.
var moduleSources = []fault.Text{
	{EN: "/proc/modules", JA: "/proc/modules"},
	{EN: "/sys/kernel/security/lockdown and /sys/module/module/parameters/sig_enforce", JA: "/sys/kernel/security/lockdown および /sys/module/module/parameters/sig_enforce"},
	{EN: "the kernel's messages", JA: "カーネルメッセージ"},
}

func moduleCommands(module string) []string {
	return []string{"mokutil --sb-state", "cat /sys/kernel/security/lockdown", "modprobe " + module, "dmesg | tail"}
}
