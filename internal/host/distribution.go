package host

import (
	"errors"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// families is the table of distributions by ID of os-release(5); what is not in it goes by its ID_LIKE. An entry that says
// UnknownFamily keeps a distribution whose ID_LIKE would mislead out of a family.
var families = map[string]Family{
	"debian": Debian, "ubuntu": Debian, "raspbian": Debian, "linuxmint": Debian, "pop": Debian, "neon": Debian,
	"elementary": Debian, "zorin": Debian, "kali": Debian, "parrot": Debian, "pureos": Debian, "devuan": Debian,
	"deepin": Debian, "uos": Debian, "trisquel": Debian, "gnoppix": Debian, "cumulus-linux": Debian, "astra": Debian,

	"rhel": RedHat, "centos": RedHat, "fedora": RedHat, "rocky": RedHat, "almalinux": RedHat, "ol": RedHat,
	"amzn": RedHat, "scientific": RedHat, "miraclelinux": RedHat, "cloudlinux": RedHat, "eurolinux": RedHat,
	"virtuozzo": RedHat, "openeuler": RedHat, "tencentos": RedHat, "anolis": RedHat, "alinux": RedHat,
	"nobara": RedHat, "xenenterprise": RedHat,

	"sles": SUSE, "sled": SUSE, "sles_sap": SUSE, "opensuse": SUSE, "opensuse-leap": SUSE, "opensuse-tumbleweed": SUSE,
	"opensuse-microos": SUSE, "opensuse-leap-micro": SUSE, "opensuse-aeon": SUSE, "opensuse-kalpa": SUSE,
	"opensuse-slowroll": SUSE, "sle-micro": SUSE, "sl-micro": SUSE, "suse-microos": SUSE, "suse": SUSE, "sle_hpc": SUSE,

	// RPM distributions with package names, a package manager and a kernel packaging of their own.
	"photon": UnknownFamily, "mariner": UnknownFamily, "azurelinux": UnknownFamily,
	"mageia": UnknownFamily, "openmandriva": UnknownFamily, "altlinux": UnknownFamily,
	// Debian's package format on an image that is replaced as a whole.
	"cos": UnknownFamily, "flatcar": UnknownFamily, "bottlerocket": UnknownFamily,
}

// imageIDs and imageVariants are the distributions and the variants whose package sets are images.
var (
	imageIDs = []string{
		"opensuse-microos", "opensuse-leap-micro", "opensuse-aeon", "opensuse-kalpa", "sle-micro", "sl-micro", "suse-microos",
		"bazzite", "bluefin", "aurora", "cos", "flatcar", "bottlerocket", "steamos", "ubuntu-core", "endless", "nixos",
	}
	imageVariants = []string{
		"coreos", "silverblue", "kinoite", "sericea", "onyx", "iot", "sway-atomic", "budgie-atomic", "cosmic-atomic",
		"aurora", "bluefin", "bazzite", "snappy",
	}
)

// Where os-release(5) is, in order.
var osReleasePaths = []string{"/etc/os-release", "/usr/lib/os-release"}

// DistributionOf reads os-release, or on a host that is older than it what that had.
func DistributionOf(r Root) Reading[Distribution] {
	for _, name := range osReleasePaths {
		b, err := r.ReadFile(name, maxOSRelease)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return NotKnown[Distribution](name, err)
		}
		o, err := ParseOSRelease(name, b)
		if err != nil {
			return NotKnown[Distribution](name, err)
		}
		d := o.Distribution()
		d.Immutable = immutable(r, d)
		return Read(d, name)
	}
	return oldDistribution(r)
}

// Distribution makes a Distribution of the fields. A file without ID means "linux" (os-release(5)).
func (o OSRelease) Distribution() Distribution {
	d := Distribution{
		ID:        strings.ToLower(o.Fields["ID"]),
		IDLike:    strings.Fields(strings.ToLower(o.Fields["ID_LIKE"])),
		VersionID: o.Fields["VERSION_ID"],
		Codename:  o.Fields["VERSION_CODENAME"],
		Name:      o.Fields["PRETTY_NAME"],
		VariantID: o.Fields["VARIANT_ID"],
		BadLines:  o.Bad,
	}
	if d.ID == "" {
		d.ID = "linux"
	}
	if d.Name == "" {
		d.Name = strings.TrimSpace(o.Fields["NAME"] + " " + o.Fields["VERSION"])
	}
	d.Family = familyOf(d.ID, d.IDLike)
	return d
}

func familyOf(id string, like []string) Family {
	for _, name := range append([]string{id}, like...) {
		if f, ok := families[name]; ok {
			return f
		}
	}
	return UnknownFamily
}

// Major is the first number of VersionID, 0 if it has none ("" on Debian sid and rolling distributions).
func (d Distribution) Major() int {
	s, _, _ := strings.Cut(strings.TrimPrefix(d.VersionID, "v"), ".")
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// immutable reports whether packages are not installed into the running file system. rpm-ostree and bootc make
// /run/ostree-booted at boot; an image holds its repository. An error of looking counts as no: the package manager's own
// message tells then.
func immutable(r Root, d Distribution) bool {
	if slices.Contains(imageIDs, d.ID) || d.Family == RedHat && slices.Contains(imageVariants, d.VariantID) {
		return true
	}
	marks := []string{"/ostree/repo", "/sysroot/ostree/repo"}
	if r.Live() {
		marks = []string{"/run/ostree-booted"}
	}
	for _, mark := range marks {
		if there, _ := r.exists(mark); there {
			return true
		}
	}
	return d.Family == SUSE && transactional(r)
}

// transactional reports whether a SUSE host has the read-only root that its role "transactional server" makes.
func transactional(r Root) bool {
	if _, ok := FindTool(r, "transactional-update"); !ok {
		return false
	}
	ro, err := readOnly(r, "/usr")
	return err == nil && ro
}

// oldRelease is a file in which a distribution told what it is before os-release, and how to read it.
type oldRelease struct {
	path    string
	pattern *regexp.Regexp // first group: version
	id      string         // "" where names tells by the text
}

var (
	releaseLine = regexp.MustCompile(`(?i)release\s+([0-9][0-9.]*)`)
	suseVersion = regexp.MustCompile(`(?m)^VERSION\s*=\s*([0-9][0-9.]*)`)
	anyVersion  = regexp.MustCompile(`^\s*([0-9][0-9.]*)`)
	lsbVersion  = regexp.MustCompile(`(?m)^DISTRIB_RELEASE=["']?([0-9][0-9.]*)`)
)

// oldReleases is in the order of asking: derivatives keep the file of what they derive from beside their own.
var oldReleases = []oldRelease{
	{"/etc/oracle-release", releaseLine, "ol"},
	{"/etc/redhat-release", releaseLine, ""},
	{"/etc/system-release", releaseLine, ""},
	{"/etc/SuSE-release", suseVersion, ""},
	{"/etc/lsb-release", lsbVersion, ""},
	{"/etc/debian_version", anyVersion, "debian"},
}

// oldNames is how those files name a distribution.
var oldNames = []struct{ text, id string }{
	{"CentOS", "centos"}, {"Red Hat", "rhel"}, {"Scientific Linux", "scientific"}, {"Fedora", "fedora"},
	{"Oracle", "ol"}, {"Enterprise Linux Enterprise Linux", "ol"}, {"Amazon Linux", "amzn"}, {"CloudLinux", "cloudlinux"},
	{"SUSE Linux Enterprise Desktop", "sled"}, {"SUSE Linux Enterprise", "sles"}, {"openSUSE", "opensuse"},
	{"Ubuntu", "ubuntu"}, {"LinuxMint", "linuxmint"},
}

// oldDistribution reads the files of distributions that are older than os-release, such as Enterprise Linux 6.
func oldDistribution(r Root) Reading[Distribution] {
	for _, old := range oldReleases {
		b, err := r.ReadFile(old.path, maxOSRelease)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return NotKnown[Distribution](old.path, err)
		}
		if d, ok := old.parse(string(b)); ok {
			d.Immutable = immutable(r, d)
			return Read(d, old.path)
		}
	}
	return NotKnown[Distribution](osReleasePaths[0], errors.New("neither os-release nor a release file of an older distribution says what this is"))
}

func (o oldRelease) parse(text string) (Distribution, bool) {
	d := Distribution{ID: o.id}
	for _, n := range oldNames {
		if d.ID == "" && strings.Contains(text, n.text) {
			d.ID = n.id
		}
	}
	if d.ID == "" {
		return d, false
	}
	if m := o.pattern.FindStringSubmatch(text); m != nil {
		d.VersionID = m[1]
	}
	first, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	if o.id == "debian" {
		first = "Debian " + first
	}
	if printable(first) {
		d.Name = first
	}
	d.Family = familyOf(d.ID, nil)
	return d, true
}
