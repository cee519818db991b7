package host

// packageRow says which package has a tool. An empty Family means all, an empty ID the whole family. To is the last major
// version of VERSION_ID for which the row holds, 0 if there is none; an unknown version (rolling releases) counts as the newest.
type packageRow struct {
	Tool    string
	Family  Family
	ID      string
	To      int
	Package string
}

// packageRows is the table; the first row that fits counts, so exceptions stand before their family.
var packageRows = []packageRow{
	{"semodule", "", "", 0, "policycoreutils"},
	{"load_policy", "", "", 0, "policycoreutils"},
	{"setfiles", "", "", 0, "policycoreutils"},
	{"restorecon", "", "", 0, "policycoreutils"},
	{"sestatus", "", "", 0, "policycoreutils"},

	{"semanage", RedHat, "amzn", 2, "policycoreutils-python"},
	{"semanage", RedHat, "fedora", 22, "policycoreutils-python"},
	{"semanage", RedHat, "fedora", 0, "policycoreutils-python-utils"},
	{"semanage", RedHat, "", 7, "policycoreutils-python"},
	{"semanage", RedHat, "", 0, "policycoreutils-python-utils"},
	{"semanage", Debian, "debian", 8, "policycoreutils"},
	{"semanage", Debian, "ubuntu", 16, "policycoreutils"},
	{"semanage", Debian, "", 0, "policycoreutils-python-utils"},
	{"semanage", SUSE, "sles", 12, "policycoreutils-python"},
	{"semanage", SUSE, "", 0, "policycoreutils-python-utils"},
	{"semanage", "", "photon", 0, "selinux-python"},
	{"semanage", "", "azurelinux", 0, "policycoreutils-python-utils"},
	{"semanage", "", "mariner", 0, "policycoreutils-python-utils"},

	{"useradd", Debian, "", 0, "passwd"},
	{"useradd", RedHat, "openeuler", 0, "shadow"},
	{"useradd", RedHat, "", 0, "shadow-utils"},
	{"useradd", SUSE, "sles", 11, "pwdutils"},
	{"useradd", SUSE, "", 0, "shadow"},
	{"useradd", "", "photon", 0, "shadow"},
	{"useradd", "", "azurelinux", 0, "shadow-utils"},
	{"useradd", "", "mariner", 0, "shadow-utils"},

	{"getenforce", Debian, "", 0, "selinux-utils"},
	{"getenforce", RedHat, "", 0, "libselinux-utils"},
	{"getenforce", SUSE, "", 0, "selinux-tools"},
	{"seinfo", Debian, "", 0, "setools"},
	{"seinfo", RedHat, "", 0, "setools-console"},
	{"seinfo", SUSE, "", 0, "setools-console"},
	{"ausearch", Debian, "", 0, "auditd"},
	{"ausearch", RedHat, "", 0, "audit"},
	{"ausearch", SUSE, "", 0, "audit"},
	{"getent", Debian, "", 0, "libc-bin"},
	{"getent", RedHat, "", 0, "glibc-common"},
	{"getent", SUSE, "", 0, "glibc"},
	{"chattr", Debian, "", 0, "e2fsprogs"},
	{"chattr", RedHat, "", 0, "e2fsprogs"},
	{"chattr", SUSE, "", 0, "e2fsprogs"},
	{"setfacl", "", "", 0, "acl"},
	{"make", "", "", 0, "make"},
	{"gcc", "", "", 0, "gcc"},
	{"clang", "", "", 0, "clang"},
	{"systemctl", "", "", 0, "systemd"},
}

// sameTool names the tool whose rows hold for a tool too: they come in one package everywhere.
var sameTool = map[string]string{
	"groupadd": "useradd", "usermod": "useradd", "groupmod": "useradd", "userdel": "useradd", "groupdel": "useradd",
	"gpasswd": "useradd", "chage": "useradd", "pwck": "useradd", "grpck": "useradd", "vipw": "useradd",
	"fixfiles": "setfiles", "audit2allow": "semanage",
	"selinuxenabled": "getenforce", "setenforce": "getenforce", "matchpathcon": "getenforce", "getsebool": "getenforce",
	"sesearch": "seinfo", "auditctl": "ausearch", "lsattr": "chattr", "getfacl": "setfacl",
}

// PackageOf names the package that has a tool on a distribution; ok is false where the table does not know. Names as in the
// distributions' repositories; version bounds by when they moved the tool.
func PackageOf(d Distribution, tool string) (pkg string, ok bool) {
	if same := sameTool[tool]; same != "" {
		tool = same
	}
	for _, row := range packageRows {
		if row.fits(d, tool) {
			return row.Package, true
		}
	}
	return "", false
}

func (p packageRow) fits(d Distribution, tool string) bool {
	if p.Tool != tool || p.ID != "" && p.ID != d.ID || p.Family != UnknownFamily && p.Family != d.Family {
		return false
	}
	major := d.Major()
	return p.To == 0 || major != 0 && major <= p.To
}
