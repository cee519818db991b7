package host

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestParseVersions(t *testing.T) {
	for _, c := range []struct {
		name, out, pkg string
		list           listing
		want           []string
	}{
		{"apt", "linux-image-amd64 |  6.1.192-2 | http://mirror.example/debian-security bookworm-security/main amd64 Packages\nlinux-image-amd64 |  6.1.176-1 | http://mirror.example/debian bookworm/main amd64 Packages\n",
			"linux-image-amd64", aptList, []string{"6.1.192-2", "6.1.176-1"}},
		{"apt, the same twice, and another", "a | 1 | x\na | 1 | y\nb | 2 | x\n", "a", aptList, []string{"1"}},
		{"apt, none", "", "a", aptList, nil},
		{"apt, what else it may say", "N: Unable to locate package a\n", "a", aptList, nil},
		{"dnf", "Installed Packages\nkernel.x86_64  4.18.0-147.el8  @anaconda\nAvailable Packages\nkernel.x86_64  4.18.0-553.el8_10  baseos\n", "kernel", dnfList, []string{"4.18.0-147.el8", "4.18.0-553.el8_10"}},
		{"dnf, by version", "Available Packages\nkernel-devel.x86_64 4.18.0-147.el8 baseos\n", "kernel-devel-4.18.0-147.el8.x86_64", dnfList, []string{"4.18.0-147.el8"}},
		{"dnf, with an epoch", "kernel.x86_64 1:4.18.0-147.el8 baseos\n", "kernel-4.18.0-147.el8.x86_64", dnfList, []string{"1:4.18.0-147.el8"}},
		{"dnf, another", "kernel-core.x86_64 4.18.0-147.el8 baseos\n", "kernel", dnfList, nil},
		{"zypper", zypperFound, "kernel-default", zypperList, []string{"5.14.21-150500.55.12.1", "5.14.21-150500.55.7.1"}},
		{"zypper, by version, of a kernel", zypperFound, "kernel-default-5.14.21-150500.55.7", zypperList, []string{"5.14.21-150500.55.7.1"}},
		{"zypper, by version, another", zypperFound, "kernel-default-5.14.21-150500.55.1", zypperList, nil},
		{"zypper, none", zypperNone, "none", zypperList, nil},
	} {
		got, err := c.list.parse(c.out, c.pkg)
		if got = distinct(got); !slices.Equal(got, c.want) || err != nil {
			t.Errorf("%s: %q, %v, expected %q", c.name, got, err, c.want)
		}
	}
}

// What zypper 1.14.42 of Debian 12 says of a repository that createrepo_c made.
const (
	zypperFound = `<?xml version='1.0'?>
<stream>

<search-result version="0.0">
<solvable-list>
<solvable status="not-installed" name="kernel-default" kind="package" edition="5.14.21-150500.55.12.1" arch="x86_64" repository="local"/>
<solvable status="not-installed" name="kernel-default" kind="package" edition="5.14.21-150500.55.7.1" arch="x86_64" repository="local"/>
</solvable-list>
</search-result>
</stream>
`
	zypperNone = `<?xml version='1.0'?>
<stream>
<message type="info">Loading repository data...</message>
<message type="info">Reading installed packages...</message>
<message type="info">No matching items found.</message>
</stream>
`
	zypperPassedOver = `<?xml version='1.0'?>
<stream>
<message type="error">Error building the cache:
[|] Failed to cache repo (129).
</message>
<message type="warning">Skipping repository &apos;local&apos; because of the above error.</message>
<message type="info">No matching items found.</message>
</stream>
`
	zypperNoRepository = `<?xml version='1.0'?>
<stream>
<message type="info">Loading repository data...</message>
<message type="warning">No repositories defined. Operating only with the installed resolvables. Nothing can be installed.</message>
<message type="info">No matching items found.</message>
</stream>
`
)

func TestZypperDoesNotKnow(t *testing.T) {
	for out, want := range map[string]string{
		zypperPassedOver: "Error building the cache:", zypperNoRepository: "No repositories defined. Operating only with the installed resolvables. Nothing can be installed.",
		"No matching items found.": "output of zypper: EOF", "": "output of zypper: EOF",
	} {
		if got, err := zypperVersions(out, "none"); err == nil || err.Error() != want {
			t.Errorf("%q: %q, %v, expected %q", out, got, err, want)
		}
	}
}

// TestZypperIsAskedByName: its search knows no version behind a name, and would find nothing.
func TestZypperIsAskedByName(t *testing.T) {
	for pkg, want := range map[string]string{
		"kernel-default-devel-5.14.21-150500.55.7": "kernel-default-devel",
		"kernel-default-devel-6.4.0-1":             "kernel-default-devel",
		"amp-connector":                            "amp-connector",
		"dbus-1-x11":                               "dbus-1-x11",
		"libclamav12":                              "libclamav12",
	} {
		if q := zypperList.question(pkg); q[len(q)-1] != want {
			t.Errorf("%s: asked for %q, want %q", pkg, q[len(q)-1], want)
		}
	}
	const exact = "kernel-devel-5.14.0-1.el9.x86_64"
	if q := dnfList.question(exact); q[len(q)-1] != exact {
		t.Errorf("dnf is asked for %q", q[len(q)-1])
	}
}

func TestAvailableVersionsThatNobodyKnows(t *testing.T) {
	if got := AvailableVersions(t.Context(), At("/"), "pacman", "linux"); !errors.Is(got.Err, errNoListing) {
		t.Errorf("%+v", got)
	}
	if got := AvailableVersions(t.Context(), At(t.TempDir()), "apt", "linux"); !errors.Is(got.Err, ErrNotRunning) {
		t.Errorf("%+v", got)
	}
}

func FuzzParseVersions(f *testing.F) {
	f.Add("linux-image-amd64 |  6.1.192-2 | http://mirror.example/debian bookworm/main amd64 Packages\n", "linux-image-amd64")
	f.Add("kernel.x86_64  4.18.0-147.el8  @anaconda\n", "kernel")
	f.Add(zypperFound, "kernel-default")
	f.Fuzz(func(t *testing.T, out, pkg string) {
		for _, list := range listings {
			versions, err := list.parse(out, pkg)
			if err != nil {
				continue
			}
			for _, v := range distinct(versions) {
				Newer(v, pkg)
			}
		}
	})
}

// TestNoAnswerIsNotNone: dnf and yum end with status 1 where there is no such package, and where they could not look.
func TestNoAnswerIsNotNone(t *testing.T) {
	const pkg, from = "kernel-devel-5.14.0-1.el9.x86_64", "dnf list"
	for _, c := range []struct {
		name, out, beside string
		status            int
		want              []string
		err               string
	}{
		{"none", "", "Error: No matching Packages to list\n", 1, nil, ""},
		{"offline", "", "Error: Failed to download metadata for repo 'baseos': Cannot prepare internal mirrorlist: Curl error (6): Couldn't resolve host name\n", 1, nil, "exit status 1: Error: Failed to download metadata for repo 'baseos'"},
		{"offline, EL7", "", " One of the configured repositories failed (Unknown),\n\n Cannot find a valid baseurl for repo: base/7/x86_64\n", 1, nil, "Cannot find a valid baseurl"},
		{"one repository was left out", "", "Errors during downloading metadata for repository 'extra':\nError: No matching Packages to list\n", 1, nil, "Errors during downloading"},
		{"found all the same", "Available Packages\nkernel-devel.x86_64 5.14.0-1.el9 appstream\n", "Errors during downloading metadata for repository 'extra':\n", 0, []string{"5.14.0-1.el9"}, ""},
		{"another status", "", "", 3, nil, "exit status 3"},
	} {
		got, err := dnfList.read(from, pkg, []byte(c.out), []byte(c.beside), c.status)
		if !slices.Equal(got, c.want) || (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, %v; want %v, %q", c.name, got, err, c.want, c.err)
		}
	}
}

// A package manager that is asked gets the proxies of the environment, and nothing else of it.
func TestAvailableVersionsThroughAProxy(t *testing.T) {
	for _, name := range proxyNames {
		t.Setenv(name, "")
		t.Setenv(strings.ToUpper(name), "")
	}
	t.Setenv("http_proxy", "http://proxy.example:3128")
	t.Setenv("ALL_PROXY", "socks5://proxy.example")
	t.Setenv("SOMEBODYS", "x")
	listings["env"] = listing{command: []string{"env"}, parse: byLine(func(fields []string, _ string) string { return strings.Join(fields, " ") })}
	defer delete(listings, "env")
	got := AvailableVersions(t.Context(), At("/"), "env", "asked=for")
	want := []string{"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "http_proxy=http://proxy.example:3128", "ALL_PROXY=socks5://proxy.example", "asked=for"}
	slices.Sort(want)
	if slices.Sort(got.Value); !got.Known() || !slices.Equal(got.Value, want) {
		t.Errorf("%q, %v, expected %q", got.Value, got.Err, want)
	}
}
