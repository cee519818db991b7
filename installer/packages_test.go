package installer

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
)

// apt puts in an apt-get and a dpkg-query that keep the installed packages in files; what apt-get prints before it fails is trouble.
func (h serviceHost) apt(trouble string) {
	h.write("state/told", "", 0o644)
	h.write("state/trouble", trouble, 0o644)
	h.write("usr/bin/env", "#!/bin/sh\nexec /usr/bin/env PATH="+h.dir+"/usr/bin:/usr/bin:/bin \"$@\"\n", 0o755)
	// As dpkg-query has it where the package is there for two architectures.
	h.write("usr/bin/dpkg-query", "#!/bin/sh\nfor p; do :; done\n[ -e "+h.dir+"/state/has-$p ] || { echo no packages found; exit 1; }\nprintf \"$(printf %s \"$2\" | sed 's/^-f=.*Status}/installed/')\"\nprintf \"$(printf %s \"$2\" | sed 's/^-f=.*Status}/config-files/')\"\n", 0o755)
	h.write("usr/bin/apt-get", `#!/bin/sh
cd `+h.dir+`/state
[ "$DEBIAN_FRONTEND" = noninteractive ] || { echo asks; exit 9; }
verb= names=
while [ $# -gt 0 ]; do
	case $1 in -o) shift ;; -*) ;; *) if [ -z "$verb" ]; then verb=$1; else names="$names $1"; fi ;; esac
	shift
done
printf '%s ' "$verb$names" >> told
case $verb in
update) : > trouble ;;
install|remove) if [ -s trouble ]; then cat trouble; exit 100; fi ;;
esac
case $verb in
install) for p in $names; do if [ -e lacks-$p ]; then echo "E: Unable to locate package $p"; exit 100; fi; : > has-$p; printf '#!/bin/sh\n' > ../usr/bin/tool-of-$p; chmod +x ../usr/bin/tool-of-$p; done ;;
remove) for p in $names; do rm has-$p; done ;;
esac
`, 0o755)
}

func TestPackages(t *testing.T) {
	for _, tt := range []struct {
		name, trouble string
		had           bool
		tools         []string
		told, err     string
	}{
		{"missing", "", false, nil, "install one", ""},
		{"there", "", true, nil, "", ""},
		{"missing tool", "", false, []string{"tool-of-one"}, "install one", ""},
		{"a package without its tool", "", false, []string{"other"}, "install one remove one", "there is no program other"},
		{"old lists", "E: Unable to locate package one", false, nil, "install one update install one", ""},
		{"no network", "E: Temporary failure resolving 'deb.example'", false, nil, "install one", "the network or its name service does not work"},
		{"locked", "E: Could not get lock /var/lib/dpkg/lock-frontend", false, nil, "install one", "another program installs packages"},
		{"unheard of", "E: the moon is full", false, nil, "install one", "the moon is full"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := testServiceHost(t)
			h.apt(tt.trouble)
			if tt.had {
				h.write("state/has-one", "", 0o644)
			}
			step := &Packages{Manager: "apt", Names: []string{"one"}, Tools: tt.tools}
			_, err := Run(t.Context(), h.Host, Plan{Name: "test", Items: []Item{{Step: step}}}, Options{})
			if got := h.told(); got != tt.told {
				t.Errorf("apt-get was told %q, want %q", got, tt.told)
			}
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
		})
	}
}

// Package managers get the proxies of the environment, and nothing else of it; what else is run gets none. A password in one is in no log.
func TestPackagesThroughAProxy(t *testing.T) {
	const proxy = "http://eve:hunter2@proxy.example:3128"
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasSuffix(strings.ToLower(name), "_proxy") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("https_proxy", proxy)
	t.Setenv("NO_PROXY", "localhost")
	t.Setenv("LD_PRELOAD_OF_SOMEBODY", "x")
	h := testServiceHost(t)
	h.apt("")
	var log bytes.Buffer
	h.Log = slog.New(slog.NewTextHandler(&log, nil))
	report := "env | grep -i -e _proxy -e somebody | sort > " + h.dir + "/state/environment-of-$(basename $0)\n"
	for _, tool := range []string{"apt-get", "dpkg-query"} {
		b, err := os.ReadFile(filepath.Join(h.dir, "usr/bin", tool))
		if err != nil {
			t.Fatal(err)
		}
		h.write("usr/bin/"+tool, strings.Replace(string(b), "#!/bin/sh\n", "#!/bin/sh\n"+report, 1), 0o755)
	}
	if _, err := Run(t.Context(), h.Host, Plan{Name: "test", Items: []Item{{Step: &Packages{Manager: "apt", Names: []string{"one"}}}}}, Options{}); err != nil {
		t.Fatal(err)
	}
	for tool, want := range map[string]string{"apt-get": "NO_PROXY=localhost\nhttps_proxy=" + proxy + "\n", "dpkg-query": ""} {
		if got, err := os.ReadFile(filepath.Join(h.dir, "state/environment-of-"+tool)); err != nil || string(got) != want {
			t.Errorf("%s has %q, %v; expected %q", tool, got, err, want)
		}
	}
	if said := log.String(); !strings.Contains(said, "apt-get") || strings.Contains(said, "hunter2") {
		t.Errorf("the log has %s", said)
	}
}

// zypper puts in a zypper that installs and then ends with a status, or installs nothing, and an rpm that knows what is installed.
func (h serviceHost) zypper(status int, installs bool) {
	h.write("state/told", "", 0o644)
	h.write("usr/bin/env", "#!/bin/sh\nexec /usr/bin/env PATH="+h.dir+"/usr/bin:/usr/bin:/bin \"$@\"\n", 0o755)
	h.write("usr/bin/rpm", "#!/bin/sh\nfor p; do :; done\n[ -e "+h.dir+"/state/has-$p ]\n", 0o755)
	h.write("usr/bin/zypper", fmt.Sprintf(`#!/bin/sh
cd %s/state
for p; do :; done
printf '%%s ' "$2 $p" >> told
case $2 in
install) if %v; then : > has-$p; fi; exit %d ;;
remove) rm has-$p ;;
esac
`, h.dir, installs, status), 0o755)
}

// TestZypperStatuses: zypper tells by its exit status too that something is worth a look although all was done. Then what was installed stays.
func TestZypperStatuses(t *testing.T) {
	for _, tt := range []struct {
		status    int
		installs  bool
		told, err string
	}{
		{0, true, "install one", ""},
		{102, true, "install one", ""},
		{103, true, "install one", ""},
		{106, true, "install one", ""}, // as on a host with one repository that cannot be reached
		{107, true, "install one", ""},
		{8, true, "install one remove one", "exit status 8"},
		{104, false, "install one", "exit status 104"},
		{106, false, "install one", "zypper ended well, and one is not installed"},
	} {
		h := testServiceHost(t)
		h.zypper(tt.status, tt.installs)
		_, err := Run(t.Context(), h.Host, Plan{Name: "test", Items: []Item{{Step: &Packages{Manager: "zypper", Names: []string{"one"}}}}}, Options{})
		if got := h.told(); got != tt.told {
			t.Errorf("status %d: zypper was told %q, want %q", tt.status, got, tt.told)
		}
		if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("status %d: error %v, want %q", tt.status, err, tt.err)
		}
	}
}

// TestRebuiltPackage: the packages of SUSE's kernels have one number more in their release than uname -r has, which zypper leaves open and rpm does not.
func TestRebuiltPackage(t *testing.T) {
	const named = "kernel-default-devel-5.14.21-150500.55.68"
	for _, tt := range []struct {
		brings, had string // versions and releases
		told, err   string
	}{
		{"5.14.21-150500.55.68.1", "", "install " + named, ""},
		{"5.14.21-150500.55.68.1", "5.14.21-150500.55.7.1", "install " + named, ""},
		{"", "5.14.21-150500.55.68.1", "", ""},
		{"5.14.21-150500.55.681.1", "", "install " + named, "is not installed"},
	} {
		h := testServiceHost(t)
		h.zypper(0, true)
		h.write("state/installed", tt.had, 0o644)
		// As rpm 4.18 answers: a name fits all versions, one with its version that alone, and no capability has the version in its name.
		h.write("usr/bin/rpm", `#!/bin/sh
cd `+h.dir+`/state
for p; do :; done
case " $* " in *" --whatprovides "*) exit 1 ;; esac
found=1
for v in $(cat installed); do
	case $p in kernel-default-devel|kernel-default-devel-$v) echo $v; found=0 ;; esac
done
exit $found
`, 0o755)
		h.write("usr/bin/zypper", `#!/bin/sh
cd `+h.dir+`/state
for p; do :; done
printf '%s ' "$2 $p" >> told
case $2 in
install) echo " `+tt.brings+`" >> installed ;;
remove) echo `+tt.had+` > installed ;;
esac
`, 0o755)
		step := &Packages{Manager: "zypper", Names: []string{named}}
		_, err := Run(t.Context(), h.Host, Plan{Name: "test", Items: []Item{{Step: step}}}, Options{})
		if got := h.told(); got != tt.told {
			t.Errorf("%s: zypper was told %q, want %q", tt.brings, got, tt.told)
		}
		if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: error %v, want %q", tt.brings, err, tt.err)
		}
		if err != nil {
			continue
		}
		if err := step.Undo(t.Context(), h.Host); err != nil {
			t.Error(err)
		}
		if b, _ := os.ReadFile(filepath.Join(h.dir, "state/installed")); strings.TrimSpace(string(b)) != tt.had {
			t.Errorf("Undo left %q, want %q", b, tt.had)
		}
	}
}

// TestPackagesUndo takes away what was new and leaves what was there.
func TestPackagesUndo(t *testing.T) {
	h := testServiceHost(t)
	h.apt("")
	h.write("state/has-old", "", 0o644)
	step := &Packages{Manager: "apt", Names: []string{"old", "new"}}
	for _, do := range []func() error{
		func() error { return step.Prepare(t.Context(), h.Host) },
		func() error { return step.Apply(t.Context(), h.Host) },
		func() error { return step.Undo(t.Context(), h.Host) },
		func() error { return step.Undo(t.Context(), h.Host) },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
	if got := h.told(); got != "install old new remove new" {
		t.Errorf("apt-get was told %q", got)
	}
	if _, err := os.Stat(filepath.Join(h.dir, "state/has-old")); err != nil {
		t.Error(err)
	}
}

// TestPackagesUndoneAfterAPowerLoss: dpkg, interrupted too, does nothing before what it was at is ended.
func TestPackagesUndoneAfterAPowerLoss(t *testing.T) {
	h := testServiceHost(t)
	h.apt("E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.")
	h.write("state/has-new", "", 0o644)
	h.write("usr/bin/dpkg", "#!/bin/sh\nprintf '%s ' \"dpkg $*\" >> "+h.dir+"/state/told\n: > "+h.dir+"/state/trouble\n", 0o755)
	step := &Packages{Manager: "apt", Names: []string{"new"}, Fresh: []string{"new"}}
	if err := step.Undo(t.Context(), h.Host); err != nil {
		t.Error(err)
	}
	if got, want := h.told(), "remove new dpkg --force-confold --configure -a remove new"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

// TestPackagesWhileOursIsUnconfigured: our package's script waits for the lock that this program holds, and both apt-get and dpkg would run it. Whether
// dpkg was interrupted or not, nothing is begun, and a person is told the command.
func TestPackagesWhileOursIsUnconfigured(t *testing.T) {
	const wanted = "run this first: dpkg --configure -a"
	for _, tt := range []struct{ state, told, err string }{
		{"unpacked", "", wanted},
		{"half-configured", "", wanted},
		{"installed", "install one dpkg --force-confold --configure -a install one", ""},
		{"config-files", "install one dpkg --force-confold --configure -a install one", ""},
	} {
		h := testServiceHost(t)
		h.apt("E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.")
		h.write("usr/bin/dpkg", "#!/bin/sh\nprintf '%s ' \"dpkg $*\" >> "+h.dir+"/state/told\n: > "+h.dir+"/state/trouble\n", 0o755)
		h.write("usr/bin/dpkg-query", "#!/bin/sh\nfor p; do :; done\n[ $p != amp-connector ] || { echo "+tt.state+"; exit 0; }\n[ -e "+h.dir+"/state/has-$p ] || exit 1\necho installed\n", 0o755)
		_, err := Run(t.Context(), h.Host, Plan{Name: "test", Items: []Item{{Step: &Packages{Manager: "apt", Names: []string{"one"}}}}}, Options{})
		if got := h.told(); got != tt.told {
			t.Errorf("%s: told %q, want %q", tt.state, got, tt.told)
		}
		if (err != nil) != (tt.err != "") || err != nil && (!strings.Contains(err.Error(), tt.err) || !strings.Contains(ErrorText(err).JA, "先に次のコマンドを")) {
			t.Errorf("%s: error %v, want %q", tt.state, err, tt.err)
		}
	}
}

func TestPackageItems(t *testing.T) {
	facts := func(manager string, immutable bool) *health.Facts {
		f := &health.Facts{}
		f.Host.Distribution = host.Read(host.Distribution{Family: host.Debian, ID: "debian", VersionID: "12", Immutable: immutable}, "")
		f.Host.PackageManager = host.Read(host.PackageManager{Name: manager}, "")
		return f
	}
	if items := PackageItems(facts("apt", false)); items != nil {
		t.Errorf("nothing to install gives %v", items)
	}
	if items := PackageItems(facts("apt", false), "a"); len(items) != 1 || items[0].Step == nil {
		t.Errorf("apt: %+v", items)
	}
	if items := PackageItems(facts("rpm-ostree", true), "a"); len(items) != 1 || !slices.Contains(items[0].Commands, "systemctl reboot") {
		t.Errorf("image-based: %+v", items)
	}
	if items := PackageItems(facts("pacman", false), "a"); len(items) != 1 || items[0].Manual.EN != "Install a." {
		t.Errorf("unknown package manager: %+v", items)
	}
	if items := ToolItems(facts("apt", false), "semodule"); len(items) != 1 || items[0].Packages[0] != "policycoreutils" {
		t.Errorf("semodule: %+v", items)
	}
}

// TestPackagesInstead installs the first of several names that the repositories have, and takes one that is there for all of them.
func TestPackagesInstead(t *testing.T) {
	for _, tt := range []struct {
		name, lacks, had, told, err string
	}{
		{"the newest", "", "", "install lib12", ""},
		{"the second", "lib12", "", "install lib12 update install lib12 install lib11", ""},
		{"the last", "lib12 lib11", "", "install lib12 update install lib12 install lib11 update install lib11 install lib9", ""},
		{"none", "lib12 lib11 lib9", "", "", "the host's repositories have no such package"},
		{"an older one is there", "", "lib9", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := testServiceHost(t)
			h.apt("")
			for _, name := range strings.Fields(tt.lacks) {
				h.write("state/lacks-"+name, "", 0o644)
			}
			if tt.had != "" {
				h.write("state/has-"+tt.had, "", 0o644)
			}
			step := &Packages{Manager: "apt", Names: []string{"lib12"}, Instead: []string{"lib11", "lib9"}}
			_, err := Run(t.Context(), h.Host, Plan{Name: "test", Items: []Item{{Step: step}}}, Options{})
			if got := h.told(); tt.told != "" && got != tt.told || tt.had != "" && got != "" {
				t.Errorf("apt-get was told %q, want %q", got, tt.told)
			}
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
			if err != nil {
				return
			}
			if needed, err := step.Needed(t.Context(), h.Host); needed || err != nil {
				t.Errorf("needed again: %v, %v", needed, err)
			}
			if err := step.Undo(t.Context(), h.Host); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Join(h.dir, "state/has-"+tt.had)); tt.had != "" && err != nil {
				t.Errorf("Undo took away what was there: %v", err)
			}
		})
	}
}

func TestReinstallCommand(t *testing.T) {
	for manager, want := range map[string]string{
		"apt": "apt-get install --reinstall -y a b", "dnf": "dnf reinstall -y a b", "yum": "yum reinstall -y a b",
		"zypper": "zypper --non-interactive install --force a b", "rpm-ostree": "", "": "",
	} {
		for range 2 { // the table keeps its words
			if got := strings.Join(ReinstallCommand(manager, "a", "b"), " "); got != want {
				t.Errorf("%q: %q, want %q", manager, got, want)
			}
		}
	}
}
