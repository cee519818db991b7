package remediate

import (
	"slices"

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
	if slices.ContainsFunc(finding.Causes, func(c string) bool { return slices.Contains(health.ScanProcessCauses, c) }) {
		items = append(items, installer.ScanItems(f)...) // a process keeps the rights that it started with
	}
	return items
}
