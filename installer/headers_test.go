package installer

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
)

const (
	headersOf     = "6.1.0-56-amd64"
	headerPackage = "linux-headers-" + headersOf
)

// headers puts in an apt-get whose package brings a header tree, but for the files in lacks, and a dpkg that only tells that it was called.
func (h serviceHost) headers(trouble, lacks string) {
	h.apt(trouble)
	tree := h.dir + "/lib/modules/" + headersOf + "/build"
	h.write("state/lacks", lacks, 0o644)
	h.write("state/tree", "", 0o755)
	h.write("usr/bin/dpkg", "#!/bin/sh\nprintf '%s ' \"dpkg $*\" >> "+h.dir+"/state/told\n: > "+h.dir+"/state/trouble\n", 0o755)
	h.write("usr/bin/apt-get", `#!/bin/sh
cd `+h.dir+`/state
case " $* " in *" --reinstall "*) verb=reinstall ;; *" update "*) verb=update ;; *" remove "*) verb=remove ;; *) verb=install ;; esac
for p; do :; done
[ $verb = update ] && p=
printf '%s ' "$verb${p:+ $p}" >> told
if [ $verb = update ]; then exit 0; fi
if [ $verb = remove ]; then rm -rf has-$p `+tree+`; exit 0; fi
if [ -s trouble ]; then cat trouble; exit 100; fi
: > has-$p
for f in Makefile include/generated/autoconf.h include/config/auto.conf scripts/basic/fixdep scripts/mod/modpost Module.symvers; do
	mkdir -p $(dirname `+tree+`/$f); : > `+tree+`/$f
done
echo '#define UTS_RELEASE "`+headersOf+`"' > `+tree+`/include/generated/utsrelease.h
for f in $(cat lacks); do rm `+tree+`/$f; done
`, 0o755)
}

func TestHeaders(t *testing.T) {
	for _, tt := range []struct {
		name, trouble, lacks string
		had                  bool   // the package is installed
		broken               string // a file that is missing then
		again                bool
		told, err            string
		outcome              Outcome
	}{
		{name: "missing", told: "install " + headerPackage, outcome: Done},
		{name: "there", had: true, outcome: Skipped},
		{name: "half", had: true, broken: "Module.symvers", told: "reinstall " + headerPackage, outcome: Done},
		{name: "looks whole", had: true, again: true, told: "reinstall " + headerPackage, outcome: Done},
		{name: "not in the repositories", trouble: "E: Unable to locate package x", told: "install " + headerPackage + " update install " + headerPackage, err: "the host's repositories have no such package", outcome: Failed},
		{name: "interrupted before", trouble: "E: dpkg was interrupted, you must manually run", told: "install " + headerPackage + " dpkg --force-confold --configure -a install " + headerPackage, outcome: Done},
		{name: "half for good", lacks: "scripts/mod/modpost", told: "install " + headerPackage + " reinstall " + headerPackage + " remove " + headerPackage, err: "lacks scripts/mod/modpost", outcome: Failed},
		{name: "half for good, and had", had: true, broken: "Makefile", lacks: "Makefile", told: "reinstall " + headerPackage, err: "lacks Makefile", outcome: Failed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := testServiceHost(t)
			h.headers("", "")
			if tt.had {
				if _, err := h.Run(t.Context(), "apt-get", "install", headerPackage); err != nil {
					t.Fatal(err)
				}
				if tt.broken != "" {
					if err := os.Remove(filepath.Join(h.dir, "lib/modules", headersOf, "build", tt.broken)); err != nil {
						t.Fatal(err)
					}
				}
			}
			h.headers(tt.trouble, tt.lacks)
			r, err := runOne(t, h.Host, &Headers{Manager: "apt", Package: headerPackage, Release: headersOf, Again: tt.again}, false)
			if got := h.told(); got != tt.told || r.Outcome != tt.outcome {
				t.Errorf("%s, told %q; expected %s, %q", r.Outcome, got, tt.outcome, tt.told)
			}
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, expected %q", err, tt.err)
			}
		})
	}
}

func TestHeaderItems(t *testing.T) {
	facts := func(d host.Distribution, manager, release string, tools ...string) *health.Facts {
		f := &health.Facts{}
		f.Host.Root = t.TempDir()
		for _, tool := range tools {
			path := filepath.Join(f.Host.Root, "usr/bin", tool)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, nil, 0o755)); err != nil {
				t.Fatal(err)
			}
		}
		f.Host.Distribution = host.Read(d, "/etc/os-release")
		f.Host.PackageManager = host.Read(host.PackageManager{Name: manager}, manager)
		f.Host.Kernel = host.Read(host.Kernel{Release: release}, "uname -r")
		return f
	}
	debian := host.Distribution{ID: "debian", VersionID: "12", Family: host.Debian}
	for _, c := range []struct {
		name     string
		f        *health.Facts
		steps    string
		packages string
	}{
		{"Debian", facts(debian, "apt", headersOf), "headers packages", headerPackage + " make"},
		{"Debian with make", facts(debian, "apt", headersOf, "make"), "headers", headerPackage},
		{"Ubuntu", facts(host.Distribution{ID: "ubuntu", VersionID: "22.04", Family: host.Debian}, "apt", "5.4.0-91-generic"), "headers packages packages", "linux-headers-5.4.0-91-generic make gcc"},
		{"Rocky", facts(host.Distribution{ID: "rocky", VersionID: "8.1", Family: host.RedHat}, "dnf", "4.18.0-147.el8.x86_64", "make", "gcc"), "headers", "kernel-devel-4.18.0-147.el8.x86_64"},
		{"image-based", facts(host.Distribution{ID: "fedora", Family: host.RedHat, Immutable: true}, "rpm-ostree", "5.3.7-301.fc31.x86_64", "make", "gcc"), "manual", "kernel-devel-5.3.7-301.fc31.x86_64"},
		{"unknown", facts(host.Distribution{ID: "alpine"}, "apk", "6.6.1-0-lts"), "manual", ""},
	} {
		var steps, packages []string
		for _, item := range HeaderItems(c.f) {
			kind := "manual"
			if item.Step != nil {
				kind = item.Step.Kind()
			}
			steps, packages = append(steps, kind), append(packages, item.Packages...)
		}
		if got := strings.Join(steps, " "); got != c.steps || strings.Join(packages, " ") != c.packages {
			t.Errorf("%s: %s, %s; expected %s, %s", c.name, got, packages, c.steps, c.packages)
		}
	}
}

// The files of a tree lie elsewhere, where links lead, and package databases know them there.
func TestResolved(t *testing.T) {
	dir := t.TempDir()
	for _, link := range []struct{ name, to string }{
		{"usr/src/headers/scripts", "../../lib/kbuild/scripts"}, {"usr/lib/modules/6/build", "/usr/src/headers"}, {"lib", "usr/lib"},
		{"usr/lib/kbuild/scripts/loop", "loop"},
	} {
		path := filepath.Join(dir, link.name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.Symlink(link.to, path)); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"/lib/modules/6/build/scripts/mod/modpost": "/usr/lib/kbuild/scripts/mod/modpost", "/lib/modules/6/build/Makefile": "/usr/src/headers/Makefile",
		"/etc/passwd": "/etc/passwd", "/": "/",
	} {
		if got := resolved(host.At(dir), name); got != want {
			t.Errorf("%s: %s, expected %s", name, got, want)
		}
	}
	resolved(host.At(dir), "/usr/lib/kbuild/scripts/loop/x") // it ends
}

func TestCompilerItems(t *testing.T) {
	f := &health.Facts{}
	f.Host.Distribution = host.Read(host.Distribution{ID: "debian", Family: host.Debian}, "")
	f.Host.PackageManager = host.Read(host.PackageManager{Name: "apt"}, "")
	items := CompilerItems(f, "gcc-12")
	if len(items) != 1 || !slices.Equal(items[0].Packages, []string{"gcc-12"}) || !slices.Equal(items[0].Step.(*Packages).Instead, []string{"gcc"}) {
		t.Errorf("%+v", items)
	}
}
