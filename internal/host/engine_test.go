package host

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestEngineLibrary(t *testing.T) {
	for name, c := range map[string]struct {
		tree tree
		want []string
	}{
		"Debian, merged":            {tree{"lib": "-> usr/lib", "usr/lib/x86_64-linux-gnu/libclamav.so.12": "-> libclamav.so.12.0.3", "usr/lib/x86_64-linux-gnu/libclamav.so.12.0.3": ""}, []string{"/usr/lib/x86_64-linux-gnu/libclamav.so.12"}},
		"EL":                        {tree{"usr/lib64/libclamav.so.11": ""}, []string{"/usr/lib64/libclamav.so.11"}},
		"two":                       {tree{"usr/lib64/libclamav.so.9": "", "usr/lib64/libclamav.so.12": ""}, []string{"/usr/lib64/libclamav.so.12", "/usr/lib64/libclamav.so.9"}},
		"not merged":                {tree{"lib64/libclamav.so.9": ""}, []string{"/lib64/libclamav.so.9"}},
		"dangling link":             {tree{"usr/lib64/libclamav.so.12": "-> libclamav.so.12.0.3"}, nil},
		"of an unknown soname":      {tree{"usr/lib64/libclamav.so.7": "", "usr/lib64/libclamav.so": ""}, nil},
		"none":                      {tree{"usr/lib64/": ""}, nil},
		"nothing at all":            {tree{}, nil},
		"in a folder of ld.so":      {tree{"etc/ld.so.conf": "include ld.so.conf.d/*.conf\n", "etc/ld.so.conf.d/clamav.conf": "# ours\n/opt/clamav/lib # here\n", "opt/clamav/lib/libclamav.so.12": ""}, []string{"/opt/clamav/lib/libclamav.so.12"}},
		"include that names itself": {tree{"etc/ld.so.conf": "include /etc/ld.so.conf\ninclude nonsense\n/opt/l\n", "opt/l/libclamav.so.9": ""}, []string{"/opt/l/libclamav.so.9"}},
	} {
		got := EngineLibrary(c.tree.root(t))
		if got.Err != nil || !slices.Equal(got.Value, c.want) || got.From == "" {
			t.Errorf("%s: %+v, want %v", name, got, c.want)
		}
	}
}

func TestEngineLibraryThatCannotBeLookedFor(t *testing.T) {
	odd := tree{"etc/ld.so.conf/": "", "usr/lib64/": ""}
	if got := EngineLibrary(odd.root(t)); !errors.Is(got.Err, ErrNotRegular) {
		t.Errorf("%+v: what ld.so.conf names is not known", got)
	}
	loop := tree{"usr/lib64/libclamav.so.12": "-> libclamav.so.12"}.root(t)
	if got := EngineLibrary(loop); got.Err == nil {
		t.Errorf("%+v: a link to itself is neither there nor absent", got)
	}
	odd["usr/lib64/libclamav.so.12"] = ""
	if got := EngineLibrary(odd.root(t)); got.Err != nil || len(got.Value) != 1 {
		t.Errorf("%+v: it is there, whatever else is", got)
	}
}

func TestHasRepository(t *testing.T) {
	for name, c := range map[string]struct {
		tree tree
		want bool
	}{
		"enabled":           {tree{"etc/yum.repos.d/epel.repo": "[epel]\nname=x\nenabled=1\n[epel-debuginfo]\nenabled=0\n"}, true},
		"enabled, unsaid":   {tree{"etc/yum.repos.d/epel.repo": "[epel]\nname=x\n"}, true},
		"disabled":          {tree{"etc/yum.repos.d/epel.repo": "[epel]\nenabled = 0\n[other]\nenabled=1\n"}, false},
		"Oracle's":          {tree{"etc/yum.repos.d/oracle-epel-ol9.repo": "[ol9_developer_EPEL]\nenabled=1\n"}, true},
		"debug alone":       {tree{"etc/yum.repos.d/epel.repo": "[epel-debuginfo]\nenabled=1\n[epel-source]\nenabled=1\n[epel-testing]\n"}, false},
		"commented":         {tree{"etc/yum.repos.d/epel.repo": "#[epel]\n"}, false},
		"not a .repo":       {tree{"etc/yum.repos.d/epel.repo.rpmsave": "[epel]\n"}, false},
		"no folder":         {tree{}, false},
		"the second counts": {tree{"etc/yum.repos.d/a.repo": "[base]\n", "etc/yum.repos.d/epel.repo": "[base]\n[epel]\n"}, true},
	} {
		if got := hasRepository(c.tree.root(t), "epel"); got.Err != nil || got.Value != c.want {
			t.Errorf("%s: %+v, want %v", name, got, c.want)
		}
	}
	odd := tree{"etc/yum.repos.d/epel.repo/": ""}.root(t)
	if got := hasRepository(odd, "epel"); got.Err == nil {
		t.Errorf("%+v: a file that cannot be read says nothing", got)
	}
}

// The package of each recorded distribution, by the name of its file; what is not here has no row, which is an answer too.
func TestEngineSourceOfRecordedDistributions(t *testing.T) {
	want := map[string]string{
		"debian__7": "libclamav9", "debian__10": "libclamav9", "debian__11": "libclamav12 libclamav11 libclamav9", "debian__12": "libclamav12 libclamav11 libclamav9",
		"debian__debian": "libclamav12", "raspbian__12": "libclamav12 libclamav11 libclamav9", "devuan__5": "libclamav12 libclamav11 libclamav9",
		"ubuntu__14.04": "libclamav9", "ubuntu__18.10": "libclamav9", "ubuntu__20.04": "libclamav12 libclamav11t64 libclamav11 libclamav9", "ubuntu__25.04": "libclamav12",
		"linuxmint__19.3": "libclamav9", "linuxmint__22": "libclamav12 libclamav11t64", "linuxmint__21.3": "libclamav12 libclamav11t64 libclamav11 libclamav9",
		"fedora__server__40": "clamav-lib", "fedora__silverblue__39": "clamav-lib", "nobara__40": "clamav-lib",
		"rhel__7.5":           "clamav-lib epel: yum install -y https://archives.fedoraproject.org/pub/archive/epel/epel-release-latest-7.noarch.rpm",
		"rhel__9.6":           "clamav-lib epel: dnf install -y https://dl.fedoraproject.org/pub/epel/epel-release-latest-9.noarch.rpm",
		"rhel__10.0":          "clamav-lib epel: dnf install -y https://dl.fedoraproject.org/pub/epel/epel-release-latest-10.noarch.rpm",
		"rocky__9.4":          "clamav-lib epel: dnf install -y epel-release",
		"almalinux__10.0":     "clamav-lib epel: dnf install -y epel-release",
		"centos__7":           "clamav-lib epel: yum install -y epel-release",
		"centos__9":           "clamav-lib epel: dnf install -y epel-release",
		"scientific__7.5":     "clamav-lib epel: yum install -y epel-release",
		"miraclelinux__9.4":   "clamav-lib epel: dnf install -y epel-release",
		"ol__9.1":             "clamav-lib epel: dnf install -y oracle-epel-release-el9",
		"ol__server__7.9":     "clamav-lib epel: yum install -y oracle-epel-release-el7",
		"amzn__2":             "clamav-lib epel: amazon-linux-extras install -y epel",
		"amzn__2022":          "clamav1.4-lib clamav-lib",
		"opensuse-leap__15.6": "libclamav12 libclamav11 libclamav9", "opensuse-leap__16.0": "libclamav12 libclamav11 libclamav9",
		"opensuse-tumbleweed__20240823": "libclamav12 libclamav11 libclamav9", "sled__15.5": "libclamav12 libclamav11 libclamav9",
		"sles_sap__12.0.1": "libclamav12 libclamav11 libclamav9", "sles__11.4": "",
		"photon__5.0": "", "alpine__3.23.2": "", "arch__arch": "", "openeuler__24.03": "", "tencentos__4.2": "", "xenenterprise__8.2.0": "", "cos__97": "", "mageia__9": "",
	}
	dir := shared(t, "os-release")
	for name, want := range want {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		o, err := ParseOSRelease(name, b)
		if err != nil {
			t.Fatal(err)
		}
		source, ok := EngineSource(o.Distribution())
		got := strings.Join(append([]string{source.Name}, source.Instead...), " ")
		if source.Repository != "" {
			got += " " + source.Repository + ": " + strings.Join(source.Enable, " && ")
		}
		if got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v; want %q", name, got, ok, want)
		}
	}
}

// Whatever a distribution is called, no name is guessed from a version that it does not have.
func TestEngineSourceIsWhole(t *testing.T) {
	files, err := os.ReadDir(shared(t, "os-release"))
	if err != nil {
		t.Fatal(err)
	}
	known := 0
	for _, file := range files {
		b, err := os.ReadFile(filepath.Join(shared(t, "os-release"), file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		o, _ := ParseOSRelease(file.Name(), b)
		source, ok := EngineSource(o.Distribution())
		if ok != (source.Name != "") || (source.Repository != "") != (len(source.Enable) > 0) || strings.Contains(strings.Join(source.Enable, ""), "%") ||
			strings.Contains(strings.Join(source.Enable, ""), "latest-0") || source.Repository != "" && o.Distribution().Major() == 0 {
			t.Errorf("%s: %+v, %v", file.Name(), source, ok)
		}
		if ok {
			known++
		}
	}
	if known < 100 {
		t.Errorf("%d distributions have a package, expected 100 and more", known)
	}
	if _, ok := EngineSource(Distribution{ID: "rhel", Family: RedHat}); ok {
		t.Error("a repository without the version that it goes by")
	}
}

func TestEngineOfAHost(t *testing.T) {
	f := Gather(t.Context(), tree{"etc/os-release": "ID=rocky\nVERSION_ID=9.4\nID_LIKE=\"rhel centos fedora\"\n", "etc/yum.repos.d/epel.repo": "[epel]\n", "usr/lib64/libclamav.so.12": ""}.root(t), Options{}).Engine
	if len(f.Libraries.Value) != 1 || !f.Repository.Value || f.Repository.Err != nil {
		t.Errorf("%+v", f)
	}
	f = Gather(t.Context(), tree{"etc/os-release": "ID=debian\nVERSION_ID=12\n"}.root(t), Options{}).Engine
	if f.Libraries.Err != nil || len(f.Libraries.Value) != 0 || f.Repository.Known() {
		t.Errorf("%+v", f)
	}
	f = Gather(t.Context(), At(t.TempDir()+"/none"), Options{}).Engine
	if f.Libraries.Known() || f.Repository.Known() {
		t.Errorf("%+v of a root that is none", f)
	}
}

func TestTail(t *testing.T) {
	long := strings.Repeat("a line of the log\n", 2000)
	r := tree{"log": "one\ntwo\nthree\n", "open": "one\ntwo", "empty": "", "long": long + "last\n", "odd": "\x1b[2J\x00\xff\tx\n" + strings.Repeat("y", 4000) + "\n", "line": strings.Repeat("z", 40000), "dir/": ""}.root(t)
	for name, want := range map[string][]string{
		"log": {"two", "three"}, "open": {"one", "two"}, "empty": nil, "long": {"a line of the log", "last"},
		"odd": {"\uFFFD[2J\uFFFD\uFFFD x", strings.Repeat("y", tailWidth) + "…"}, "line": {strings.Repeat("z", tailWidth) + "…"},
	} {
		got := r.Tail("/"+name, 2)
		if got.Err != nil || !slices.Equal(got.Value, want) || got.From != "/"+name {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for _, name := range []string{"/none", "/dir"} {
		if got := r.Tail(name, 2); got.Known() {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
