package host

import (
	"bytes"
	"context"
	"strings"
)

// Installation is how an installed connector was recognised.
type Installation struct {
	Connector string // name of its row, "" if none is installed
	Binary    string // its daemon
	Package   string // package that owns the binary, "" if no package database says so
	By        string // what told: "dpkg", "rpm", a file of its own, or its program file alone
}

const (
	dpkgInfo = "/var/lib/dpkg/info"
	// maxFileList bounds a package's list of files.
	maxFileList = 8 << 20
)

// rpmDatabases is where rpm keeps its database.
var rpmDatabases = []string{"/var/lib/rpm", "/usr/lib/sysimage/rpm", "/usr/share/rpm"}

// FindConnector recognises the installed connector: by the program file of its daemon, and, since the rows of the table
// share that, by the package that owns it. No command runs where files tell.
func FindConnector(ctx context.Context, r Root) Reading[Installation] {
	var present []Connector
	for _, c := range Connectors {
		there, err := r.exists(c.Binary)
		if err != nil {
			return NotKnown[Installation](c.Binary, err)
		}
		if there {
			present = append(present, c)
		}
	}
	if len(present) == 0 {
		return Read(Installation{}, Connectors[0].Binary)
	}
	return Read(tellApart(ctx, r, present), present[0].Binary)
}

// tellApart finds out which of the connectors whose daemon is there it is.
func tellApart(ctx context.Context, r Root, present []Connector) Installation {
	for _, c := range present {
		if dpkgOwns(r, c.Package, c.Binary) {
			return Installation{c.Name, c.Binary, c.Package, "dpkg"}
		}
	}
	for _, c := range present {
		if there, _ := r.exists(c.Marker); c.Marker != "" && there {
			return Installation{c.Name, c.Binary, "", c.Marker}
		}
	}
	owner := rpmOwner(ctx, r, present[0].Binary)
	for _, c := range present {
		if c.Package == owner {
			return Installation{c.Name, c.Binary, owner, "rpm"}
		}
	}
	for _, c := range present { // a row with a marker would have been recognised by it
		if c.Marker == "" {
			return Installation{c.Name, c.Binary, owner, c.Binary}
		}
	}
	return Installation{present[0].Name, present[0].Binary, owner, present[0].Binary}
}

// dpkgOwns reports whether a Debian package that is unpacked lists a file.
func dpkgOwns(r Root, pkg, file string) bool {
	lists := []string{dpkgInfo + "/" + pkg + ".list"}
	for _, arch := range []string{"amd64", "arm64"} { // "Multi-Arch: same" packages carry the architecture
		lists = append(lists, dpkgInfo+"/"+pkg+":"+arch+".list")
	}
	for _, list := range lists {
		b, err := r.ReadFile(list, maxFileList)
		if err == nil && bytes.Contains(append([]byte("\n"), b...), []byte("\n"+file+"\n")) {
			return true
		}
	}
	return false
}

// rpmOwner asks rpm which package owns a file; "" where there is no rpm database, no answer, or the host does not run.
func rpmOwner(ctx context.Context, r Root, file string) string {
	if !r.Live() || !hasRPMDatabase(r) {
		return ""
	}
	out, status, err := ask(ctx, r, "rpm", "-qf", "--queryformat", `%{NAME}\n`, file)
	if err != nil || status != 0 {
		return ""
	}
	name, _, _ := strings.Cut(string(out), "\n")
	if !printable(name) {
		return ""
	}
	return name
}

func hasRPMDatabase(r Root) bool {
	for _, dir := range rpmDatabases {
		if entries, err := r.ReadDir(dir); err == nil && len(entries) > 0 {
			return true
		}
	}
	return false
}
