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
}
