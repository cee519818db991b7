package host

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseOSRelease(t *testing.T) {
	const text = `# a comment
NAME=Bare
 INDENTED=yes
DOUBLE="two words"
SINGLE='it is \n "quoted"'
ESCAPED="a \"b\" \$c \\ \` + "`" + ` \n"
BARE_ESCAPE=a\ b
BLANKS=bare with blanks
EMPTY=
EMPTY_QUOTED=""
AFTER="value" # said why
TWICE=first
TWICE=second
no equals sign
9DIGIT=x
A-B=x
OPEN="never closed
TRAILING="a"b
CONTROL="` + "\x1b[31mred" + `"
LATIN="` + "\xe9" + `"
CR="windows"` + "\r\n"
	o, err := ParseOSRelease("os-release", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"NAME": "Bare", "INDENTED": "yes", "DOUBLE": "two words", "SINGLE": `it is \n "quoted"`, "ESCAPED": "a \"b\" $c \\ ` \\n",
		"BARE_ESCAPE": "a b", "BLANKS": "bare with blanks", "EMPTY": "", "EMPTY_QUOTED": "", "AFTER": "value", "TWICE": "second", "CR": "windows",
	}
	if diff := cmp.Diff(want, o.Fields); diff != "" {
		t.Error(diff)
	}
	var lines []int
	for _, bad := range o.Bad {
		lines = append(lines, bad.Line)
	}
	if diff := cmp.Diff([]int{14, 15, 16, 17, 18, 19, 20}, lines); diff != "" {
		t.Errorf("bad lines: %s\n%v", diff, o.Bad)
	}
	if got := o.Bad[0].String(); got != "os-release: line 14: no '='" {
		t.Errorf("a bad line reads %q", got)
	}
}

// wellKnown is the family and package set of recorded distributions; the other recorded ones belong to no family.
var wellKnown = map[string]Family{
	"debian__12": Debian, "debian__7": Debian, "debian__debian": Debian, "ubuntu__14.04": Debian, "ubuntu__25.04": Debian,
	"raspbian__12": Debian, "linuxmint__22": Debian, "pop__22.04": Debian, "kali__2019.4": Debian, "Deepin__20.9": Debian,
	"pureos__10.0": Debian, "devuan__5": Debian, "neon__22.04": Debian, "cumulus-linux__3.7.2": Debian, "gnoppix__24": Debian,
	"bodhi__20.04": Debian, "zorin__16": Debian, "elementary__6": Debian, "parrot__5.3": Debian, "trisquel__11.0": Debian,
	"rhel__7.5": RedHat, "rhel__10.0": RedHat, "centos__7": RedHat, "centos__9": RedHat, "rocky__9.4": RedHat,
	"almalinux__10.0": RedHat, "ol__server__7.9": RedHat, "ol__server__9.5": RedHat, "amzn__2": RedHat, "amzn__2022": RedHat,
	"fedora__server__40": RedHat, "fedora__coreos__39": RedHat, "scientific__7.5": RedHat, "miraclelinux__9.4": RedHat,
	"openeuler__24.03": RedHat, "tencentos__4.2": RedHat, "nobara__40": RedHat, "bazzite__40": RedHat, "aurora__41": RedHat,
	"xenenterprise__8.2.0": RedHat, "fedoraremixforwsl__31": RedHat,
	"sles__11.4": SUSE, "sles_sap__12.0.1": SUSE, "sled__15.5": SUSE, "opensuse-leap__15.6": SUSE, "opensuse-leap__16.0": SUSE,
	"opensuse-tumbleweed__20240823": SUSE,
	"photon__5.0":                   UnknownFamily, "cos__97": UnknownFamily, "alpine__3.23.2": UnknownFamily, "wolfi__20230201": UnknownFamily,
	"arch__arch": UnknownFamily, "steamos__3.7.16": UnknownFamily, "mageia__9": UnknownFamily, "flatcar__4459.0.0": UnknownFamily,
	"gentoo__2.18": UnknownFamily, "nixos__24.05": UnknownFamily, "slackware__15.0": UnknownFamily, "openwrt__23.05.3": UnknownFamily,
	"postmarketos__v25.12": UnknownFamily, "clear-linux-os__38250": UnknownFamily, "buildroot__2019.02.9": UnknownFamily,
}

var idLine = regexp.MustCompile(`(?m)^ID=["']?([^"'\s]*)`)

func TestRecordedDistributions(t *testing.T) {
	dir := shared(t, "os-release")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) < 211 {
		t.Errorf("%d recorded files, 211 expected", len(entries))
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		o, err := ParseOSRelease(e.Name(), b)
		if err != nil {
			t.Errorf("%s: %v", e.Name(), err)
			continue
		}
		if strings.HasSuffix(e.Name(), ".md") { // a text about the files lies beside them
			if len(o.Bad) == 0 {
				t.Errorf("%s: prose was read without a bad line", e.Name())
			}
			continue
		}
		checkRecorded(t, e.Name(), b, o)
	}
}

func checkRecorded(t *testing.T, name string, b []byte, o OSRelease) {
	t.Helper()
	d := o.Distribution()
	want := "linux"
	if m := idLine.FindSubmatch(b); m != nil {
		want = strings.ToLower(string(m[1]))
	}
	if d.ID != want {
		t.Errorf("%s: ID %q, the file says %q", name, d.ID, want)
	}
	if d.Name == "" {
		t.Errorf("%s: no name", name)
	}
	if len(o.Bad) > 0 {
		t.Errorf("%s: bad lines in a real file: %v", name, o.Bad)
	}
	if family, ok := wellKnown[name]; ok && d.Family != family {
		t.Errorf("%s: family %q, want %q", name, d.Family, family)
	}
}

func TestWellKnownAreRecorded(t *testing.T) {
	dir := shared(t, "os-release")
	for name := range wellKnown {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

func TestDistribution(t *testing.T) {
	type want struct {
		id, version string
		family      Family
		from        string
		immutable   bool
	}
	for name, c := range map[string]struct {
		tree tree
		want want
	}{
		"etc wins": {tree{"etc/os-release": "ID=debian\nVERSION_ID=12", "usr/lib/os-release": "ID=fedora"},
			want{"debian", "12", Debian, "/etc/os-release", false}},
		"link into usr": {tree{"etc/os-release": "-> ../usr/lib/os-release", "usr/lib/os-release": "ID=fedora\nVERSION_ID=41"},
			want{"fedora", "41", RedHat, "/etc/os-release", false}},
		"dangling link": {tree{"etc/os-release": "-> gone", "usr/lib/os-release": "ID=ubuntu"},
			want{"ubuntu", "", Debian, "/usr/lib/os-release", false}},
		"no ID":      {tree{"etc/os-release": "NAME=x"}, want{"linux", "", "", "/etc/os-release", false}},
		"by ID_LIKE": {tree{"etc/os-release": "ID=new\nID_LIKE=\"foo rhel fedora\""}, want{"new", "", RedHat, "/etc/os-release", false}},
		"centos 6":   {tree{"etc/redhat-release": "CentOS release 6.10 (Final)\n"}, want{"centos", "6.10", RedHat, "/etc/redhat-release", false}},
		"rhel 6": {tree{"etc/redhat-release": "Red Hat Enterprise Linux Server release 6.9 (Santiago)\n"},
			want{"rhel", "6.9", RedHat, "/etc/redhat-release", false}},
		"oracle 6": {tree{"etc/oracle-release": "Oracle Linux Server release 6.10\n", "etc/redhat-release": "Red Hat Enterprise Linux Server release 6.10 (Santiago)\n"},
			want{"ol", "6.10", RedHat, "/etc/oracle-release", false}},
		"amazon 1": {tree{"etc/system-release": "Amazon Linux AMI release 2018.03\n"}, want{"amzn", "2018.03", RedHat, "/etc/system-release", false}},
		"sles 11": {tree{"etc/SuSE-release": "SUSE Linux Enterprise Server 11 (x86_64)\nVERSION = 11\nPATCHLEVEL = 3\n"},
			want{"sles", "11", SUSE, "/etc/SuSE-release", false}},
		"debian 6":   {tree{"etc/debian_version": "6.0.10\n"}, want{"debian", "6.0.10", Debian, "/etc/debian_version", false}},
		"debian sid": {tree{"etc/debian_version": "wheezy/sid\n"}, want{"debian", "", Debian, "/etc/debian_version", false}},
		"ubuntu 10": {tree{"etc/lsb-release": "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=10.04\n", "etc/debian_version": "squeeze/sid\n"},
			want{"ubuntu", "10.04", Debian, "/etc/lsb-release", false}},
		"silverblue": {tree{"etc/os-release": "ID=fedora\nVARIANT_ID=silverblue"}, want{"fedora", "", RedHat, "/etc/os-release", true}},
		"bootc":      {tree{"etc/os-release": "ID=rhel", "sysroot/ostree/repo/": ""}, want{"rhel", "", RedHat, "/etc/os-release", true}},
		"micro": {tree{"etc/os-release": "ID=\"sl-micro\"\nID_LIKE=\"suse\"\nVERSION_ID=6.0"},
			want{"sl-micro", "6.0", SUSE, "/etc/os-release", true}},
	} {
		d := DistributionOf(c.tree.root(t))
		got := want{d.Value.ID, d.Value.VersionID, d.Value.Family, d.From, d.Value.Immutable}
		if d.Err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, d.Err, c.want)
		}
	}
}

func TestDistributionNotKnown(t *testing.T) {
	for name, c := range map[string]struct {
		tree tree
		err  error
		text string
	}{
		"directory": {tree{"etc/os-release/": "", "usr/lib/os-release": "ID=debian"}, ErrNotRegular, "/etc/os-release"},
		"too large": {tree{"etc/os-release": strings.Repeat("#\n", 40<<10)}, ErrTooLarge, "65536 bytes"},
		"nothing":   {tree{"etc/": ""}, nil, "neither os-release nor"},
	} {
		d := DistributionOf(c.tree.root(t))
		if d.Err == nil || c.err != nil && !errors.Is(d.Err, c.err) || !strings.Contains(d.Err.Error(), c.text) {
			t.Errorf("%s: %v", name, d.Err)
		}
	}
}

func FuzzParseOSRelease(f *testing.F) {
	for _, seed := range []string{"ID=debian\n", `NAME="a \"b"` + "\n", "A='\n", "=", "\\", "A=\\", "\x00", `A="\`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := ParseOSRelease("f", b)
		if err != nil {
			return
		}
		for k, v := range o.Fields {
			if !printable(k) || !printable(v) || strings.ContainsFunc(k, notKeyRune) {
				t.Errorf("%q=%q", k, v)
			}
		}
		if d := o.Distribution(); d.ID == "" {
			t.Error("no ID")
		}
	})
}
