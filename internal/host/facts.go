// Package host reads the facts of a host below a root directory: distribution, kernel, accounts, login.defs, memory, disk,
// init system, package manager, connectors found. It changes nothing and judges nothing; what it cannot read it says so.
package host

import (
	"errors"
	"io/fs"
)

// ErrNotRunning is the Err of a Reading that only a running host can answer, when the facts are those of a mounted image.
var ErrNotRunning = errors.New("only the running host can tell")

// Facts is what is known of a host.
type Facts struct {
	Root           string // directory that stands for /, "/" for the running host
	Live           bool   // Root is the running host itself
	Distribution   Reading[Distribution]
	Kernel         Reading[Kernel]
	ModuleLoading  ModuleLoading // of the kernel that runs
	Account        AccountFacts
	LoginDefs      Reading[*LoginSettings]
	Connectors     []Connector           // the connectors that are installed, ours first; empty if none
	Installation   Reading[Installation] // how the installed one was recognised; Value.Binary is "" if there is none
	Unit           Reading[UnitFile]     // of the found connector, or ours
	Directories    []DirectoryFact
	Engine         EngineFacts
	Memory         Reading[Memory]
	Disk           []DiskFact
	Init           Reading[Init]
	PackageManager Reading[PackageManager]
	Arch           string // GOARCH name; for an image the running program's
}

// Family groups distributions whose package names and tools are the same.
type Family string

const (
	Debian        Family = "debian"
	RedHat        Family = "redhat"
	SUSE          Family = "suse"
	UnknownFamily Family = ""
)

// Distribution is what os-release(5) says.
type Distribution struct {
	ID        string   // lower case, e.g. "ol"
	IDLike    []string // in order of closeness
	VersionID string   // e.g. "9.6", may be empty
	Codename  string
	Name      string // PRETTY_NAME, or NAME VERSION
	VariantID string
	Family    Family
	Immutable bool      // package sets are images: rpm-ostree, transactional-update
	BadLines  []BadLine // lines of os-release that say nothing
}

// Kernel is the kernel that is judged: the running one, or the one named by the user for an image.
type Kernel struct {
	Release string                     // uname -r
	Other   bool                       // the host runs, and runs another one: what this one offers cannot be asked
	Config  Reading[map[string]string] // the options of its build configuration that matter here, "y", "m", a value, or "n"
	BTF     Reading[bool]              // CONFIG_DEBUG_INFO_BTF
	Headers Reading[*Headers]          // nil where it has no build link
}

// Account is a line of passwd(5).
type Account struct {
	Name  string
	UID   uint32
	GID   uint32
	Home  string
	Shell string
	From  string // "/etc/passwd", or "nss" where only the name service knows it
	Line  int    // in From, 0 for the name service

	shadowed bool     // the password is in shadow(5)
	password Password // state of the one in passwd(5) itself, if not shadowed
}

// Group is a line of group(5).
type Group struct {
	Name    string
	GID     uint32
	Members []string
	From    string // "/etc/group", or "nss"
	Line    int    // in From, 0 for the name service
}

// Password is the state of a password field of shadow(5).
type Password struct {
	Locked    bool  // no password can match: "!", "*", "!!", or a hash behind "!"
	Empty     bool  // anyone may log in
	Expires   bool  // the account has an expiry date (field 8)
	ExpiryDay int64 // that date in days since 1970-01-01, if Expires
	NoLine    bool  // passwd refers to shadow(5), which has no line for the account: no password can match
}

// AccountFacts is what is known of the scan account. A nil User or Group in a known Reading means that there is none.
type AccountFacts struct {
	Name         string // user's and group's name
	User         Reading[*Account]
	Group        Reading[*Group]
	Password     Reading[Password]
	ExtraGroups  Reading[[]string] // groups beside the primary one that list the user
	SameUID      Reading[[]string] // other names with the user's uid, of a directory service at most one
	HomeOwner    Reading[*uint32]  // owner of the home directory, nil if it does not exist
	PrimaryGroup Reading[string]   // name of the user's primary group, "" if the gid has no name
	SameGID      Reading[[]string] // other groups with the group's gid
	GroupMembers Reading[[]string] // accounts beside the user that group(5) or gshadow(5) puts into the group
	BadLines     []BadLine         // lines of the account files that were passed over
	// DirectoryGroups are those of ExtraGroups that only a directory service puts the user into.
	DirectoryGroups []string
	// FreeUID and FreeGID are what a new system user or group would get. They are looked for where there is none.
	FreeUID Reading[uint32]
	FreeGID Reading[uint32]
}

// DirectoryFact is the state of one directory that the connector needs, with what was packaged.
type DirectoryFact struct {
	Want    Directory
	WantUID Reading[uint32]          // of Want.Owner on this host
	WantGID Reading[uint32]          // of Want.Group on this host
	State   Reading[*DirectoryState] // nil: it does not exist
}

// Directory is a directory as packaged.
type Directory struct {
	Path  string
	Mode  fs.FileMode // permission bits
	Owner string      // account names, not numbers
	Group string
}

// DirectoryState is a directory as found. Of a symbolic link it is what the link leads to.
type DirectoryState struct {
	Mode    fs.FileMode
	UID     uint32
	GID     uint32
	IsDir   bool
	Symlink bool
}

// Memory is in bytes, of the host.
type Memory struct{ Total, Available uint64 }

// DiskFact is the room below one path, in bytes.
type DiskFact struct {
	Path     string
	Free     Reading[uint64] // bytes that an unprivileged program may use
	ReadOnly Reading[bool]   // the file system is mounted read-only
}

// Init is the init system that runs, or that an image boots.
type Init struct {
	Name    string // "systemd", "sysvinit", "none", or the name of process 1
	Running bool   // it is process 1 of this host and answers
}

// PackageManager is what installs packages on a host.
type PackageManager struct {
	Name   string // "apt", "dnf", "yum", "zypper", "microdnf", "tdnf", "rpm-ostree", "transactional-update"
	Path   string // the tool, as seen from inside the root
	Reboot bool   // what it installs is there after the next boot only
}
