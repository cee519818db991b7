package remediate

import (
	"slices"
	"strings"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
)

// fault5 mends the scan account and the connector's directories.
var fault5 = remedy{
	plan: planAccount,
	sources: []fault.Text{
		{
			EN: "/etc/passwd, /etc/group, /etc/shadow (passwd(5), group(5), shadow(5)); the name service where nsswitch.conf(5) names one",
			JA: "/etc/passwd、/etc/group、/etc/shadow (passwd(5)、group(5)、shadow(5))。nsswitch.conf(5) に指定がある場合はネームサービス",
		},
		{
			EN: "mode and owner of /opt/cisco and below, /var/lib/cisco and below, /var/log/cisco",
			JA: "/opt/cisco 以下、/var/lib/cisco 以下、/var/log/cisco のモードと所有者",
		},
		{
			EN: "who changed a directory: the connector's event log, /var/log/cisco/events.jsonl, and the kernel's audit log, /var/log/audit/audit.log",
			JA: "ディレクトリを変更したプログラム: コネクタのイベントログ /var/log/cisco/events.jsonl、カーネルの監査ログ /var/log/audit/audit.log",
		},
		{
			EN: "the control socket of the daemon: user, groups and capabilities of the running scan process, from its /proc/PID/status",
			JA: "デーモンの制御ソケット: 動作中のスキャンプロセスのユーザー、グループ、ケーパビリティ (/proc/PID/status による)",
		},
	},
	commands: []string{
		"groupadd -r cisco-amp-scan-svc",
		"useradd -r -g cisco-amp-scan-svc -M -d /nonexistent -s /usr/sbin/nologin cisco-amp-scan-svc",
		"usermod -L -e '' -s /usr/sbin/nologin -g cisco-amp-scan-svc -G '' cisco-amp-scan-svc",
		"chown root:root /opt/cisco && chmod 0755 /opt/cisco",
	},
}

// planAccount: the account first, since directories may belong to it.
func planAccount(f *health.Facts, finding fault.Finding) []installer.Item {
	items := thenLook(f, slices.Concat(installer.AccountItems(f), installer.DirectoryItems(f)))
	items = append(items, watchItems(f)...)
	if slices.ContainsFunc(finding.Causes, func(c string) bool { return slices.Contains(health.ScanProcessCauses, c) }) {
		items = append(items, installer.ScanItems(f)...) // a process keeps the rights that it started with
	}
	return items
}

// watchItems offer to watch for the next time, where no log tells who changed a directory.
func watchItems(f *health.Facts) []installer.Item {
	var paths, commands []string
	for _, d := range f.Host.Directories {
		if c, looked := f.Changes[d.Want.Path]; looked && c.Known() && c.Value == nil {
			paths = append(paths, d.Want.Path)
			commands = append(commands, "auditctl -w "+d.Want.Path+" -p a -k cisco-amp")
		}
	}
	if len(paths) == 0 {
		return nil
	}
	return []installer.Item{{Manual: watchNextTime.With(strings.Join(paths, ", ")), Commands: commands}}
}

var watchNextTime = fault.Text{
	EN: "It is not known who changed %s. The next time the connector's own events tell, as long as it monitors files (ampcli events); to have the " +
		"kernel's audit tell too, also while the connector does not run, give auditd these rules until the next boot.",
	JA: "%s を変更したプログラムは不明です。ファイル監視が有効であれば、次回はコネクタのイベント (ampcli events) に記録されます。コネクタの停止中も含めて" +
		"カーネルの監査ログに記録するには、次のルールを auditd に設定してください (次回の起動まで有効)。",
}
