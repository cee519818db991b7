package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// listPatience bounds a question about repositories: dnf reads its lists anew where they are old.
const listPatience = 30 * time.Second

// errNoListing says that a package manager is not asked.
var errNoListing = errors.New("it is not known how to ask this package manager")

// listing is how a package manager lists the versions of a package.
type listing struct {
	command []string
	byName  bool // it finds nothing by a name with a version
	none    int  // exit status where there is none
	parse   func(out, pkg string) ([]string, error)
}

var (
	aptList  = listing{[]string{"apt-cache", "madison"}, false, 0, byLine(aptVersion)}
	dnfList  = listing{[]string{"dnf", "list", "--showduplicates"}, false, 1, byLine(dnfVersion)} // with -q it would not say what is wrong
	yumList  = listing{[]string{"yum", "list", "--showduplicates"}, false, 1, byLine(dnfVersion)}
	listings = map[string]listing{"apt": aptList, "dnf": dnfList, "yum": yumList, "zypper": zypperList}
)

// AvailableVersions lists the versions of a package that the repositories of the running host have, each once, in the package manager's order. There
// may be none. Those of an installed one are among them, but for apt.
func AvailableVersions(ctx context.Context, r Root, manager, pkg string) Reading[[]string] {
	l, ok := listings[manager]
	if !ok {
		return NotKnown[[]string](manager, errNoListing)
	}
	if !r.Live() {
		return NotKnown[[]string](manager, ErrNotRunning)
	}
	question := l.question(pkg)
	from := strings.Join(question, " ")
	out, beside, status, err := askWhy(ctx, r, listPatience, ProxyEnvironment(), question[0], question[1:]...)
	if err != nil {
		return NotKnown[[]string](from, err)
	}
	versions, err := l.read(from, pkg, out, beside, status)
	if err != nil {
		return NotKnown[[]string](from, err)
	}
	return Read(versions, from)
}

// question is the command that asks for a package.
func (l listing) question(pkg string) []string {
	if l.byName {
		pkg, _ = SplitNamed(pkg)
	}
	return append(slices.Clone(l.command), pkg)
}

// read reads an answer. That there is none counts only where all repositories could be read: dnf and yum end with the same status for both.
func (l listing) read(from, pkg string, out, beside []byte, status int) ([]string, error) {
	if status != 0 && status != l.none {
		return nil, fmt.Errorf("%s: exit status %d", from, status)
	}
	listed, err := l.parse(string(out), pkg)
	if err != nil {
		return nil, err
	}
	versions := distinct(listed)
	if len(versions) > 0 {
		return versions, nil
	}
	for line := range strings.Lines(string(beside)) {
		if slices.ContainsFunc(unreadRepository, func(said string) bool { return strings.Contains(line, said) }) {
			return nil, fmt.Errorf("%s: exit status %d: %s", from, status, strings.TrimSpace(line))
		}
	}
	return versions, nil
}

// unreadRepository is what dnf and yum say of a repository whose lists they could not read, in their own English.
var unreadRepository = []string{
	"Failed to download metadata", "Errors during downloading metadata", "Cannot download", "Cannot retrieve", "Could not retrieve", "Cannot find a valid baseurl",
	"Curl error", "Couldn't resolve", "Could not resolve", "Cache-only enabled but no cache", "This system is not registered",
}

// maxVersions bounds what is kept of a listing.
const maxVersions = 256

func distinct(listed []string) []string {
	var versions []string
	seen := map[string]bool{}
	for _, v := range listed {
		if v != "" && len(versions) < maxVersions && !seen[v] {
			seen[v] = true
			versions = append(versions, v)
		}
	}
	return versions
}

// byLine reads a version, or "", from each line.
func byLine(version func(fields []string, pkg string) string) func(string, string) ([]string, error) {
	return func(out, pkg string) (versions []string, err error) {
		for line := range strings.Lines(out) {
			versions = append(versions, version(strings.Fields(line), pkg))
		}
		return versions, nil
	}
}

// aptVersion reads "NAME | VERSION | REPOSITORY", apt-cache(8).
func aptVersion(fields []string, pkg string) string {
	if len(fields) < 5 || fields[0] != pkg || fields[1] != "|" || fields[3] != "|" {
		return ""
	}
	return fields[2]
}

// dnfVersion reads "NAME.ARCH VERSION REPOSITORY". A package that was asked for by its whole name and version is listed by its name alone.
func dnfVersion(fields []string, pkg string) string {
	if len(fields) != 3 {
		return ""
	}
	name, arch, ok := cutLast(fields[0], ".")
	version := fields[1]
	if _, bare, epoch := strings.Cut(version, ":"); epoch {
		version = bare
	}
	if !ok || name != pkg && name+"-"+version+"."+arch != pkg && name+"-"+version != pkg {
		return ""
	}
	return fields[1]
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
