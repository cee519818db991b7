package installer

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/ampconnector/amp/internal/fault"
)

func TestParseDKMSStatus(t *testing.T) {
	for name, c := range map[string]struct {
		said string
		want []added
	}{
		"nothing":       {"", nil},
		"others":        {"nvidia/550.1, 6.1.0-49-amd64, x86_64: installed\namp-connector-x/1, 6.1.0-49-amd64, x86_64: installed\n", nil},
		"added":         {"amp-connector/0.1.0: added\n", []added{{"0.1.0", nil}}},
		"broken":        {"amp-connector/0.1.0: broken\nError! amp-connector/0.1.0: Missing the module source directory\n", []added{{"0.1.0", nil}}},
		"installed":     {"amp-connector/0.1.0, 6.1.0-49-amd64, x86_64: installed\namp-connector/0.1.0, 6.1.0-50-amd64, x86_64: built\n", []added{{"0.1.0", []string{"6.1.0-49-amd64"}}}},
		"with a remark": {"amp-connector/0.1.0, 5.14.0-1.el9.x86_64, x86_64: installed (WARNING! Diff between built and installed module!)\n", []added{{"0.1.0", []string{"5.14.0-1.el9.x86_64"}}}},
		"before 3.0":    {"amp-connector, 0.1.0, 4.18.0-1.el8.x86_64, x86_64: installed\namp-connector, 0.2.0: added\n", []added{{"0.1.0", []string{"4.18.0-1.el8.x86_64"}}, {"0.2.0", nil}}},
		"no release":    {"amp-connector/0.1.0, ../x, x86_64: installed\n", []added{{"0.1.0", nil}}},
	} {
		if got := parseDKMSStatus([]byte(c.said)); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, expected %+v", name, got, c.want)
		}
	}
}

// What dkms says is that of its versions 3.0.10 and 2.8.4.
func TestDKMSCause(t *testing.T) {
	const (
		log    = "/var/lib/dkms/amp-connector/0.1.0/build/make.log"
		failed = "Building module:\nCleaning build area...\nmake -j2 KERNELRELEASE=6.1.0-49-amd64 -C /lib/modules/6.1.0-49-amd64/build...(bad exit status: 2)\n" +
			"Error! Bad return status for module build on kernel: 6.1.0-49-amd64 (x86_64)\nConsult " + log + " for more information.\n"
		status = "Bad return status for module build on kernel: 6.1.0-49-amd64 (x86_64)"
	)
	for name, c := range map[string]struct{ log, said, want string }{
		"compiler's error": {
			"DKMS make.log for amp-connector-0.1.0 for kernel 6.1.0-49-amd64 (x86_64)\nTue Dec  1 13:00:00 UTC 2026\nmake: Entering directory '/usr/src/linux-headers-6.1.0-49-amd64'\n" +
				"  CC [M]  ampfsm.o\nIn file included from ampfsm.c:3:\nfs.h:7:2: error: #error first\nfs.h:9:2: error: #error second\nmake[1]: *** [Makefile:2012: modules] Error 2\n",
			failed, status + ": " + log + ": fs.h:7:2: error: #error first",
		},
		"no make":          {"DKMS make.log\n/usr/sbin/dkms: line 1: make: command not found\n", failed, status + ": " + log + ": /usr/sbin/dkms: line 1: make: command not found"},
		"log without word": {"\n", failed, status + " Consult " + log + " for more information."},
		"no log":           {"", failed, status + ": lstat " + log + ": no such file or directory"},
		"headers gone": {
			"", "Error! Your kernel headers for kernel 6.1.0-49-amd64 cannot be found at /lib/modules/6.1.0-49-amd64/build or /lib/modules/6.1.0-49-amd64/source.\nPlease install the linux-headers-6.1.0-49-amd64 package.\n",
			"Your kernel headers for kernel 6.1.0-49-amd64 cannot be found at /lib/modules/6.1.0-49-amd64/build or /lib/modules/6.1.0-49-amd64/source. Please install the linux-headers-6.1.0-49-amd64 package.",
		},
		"two errors":  {"", "Error! One.\nMore.\nError! Two.\n", "One. More."},
		"other words": {"", "cp: no space left on device\n", "cp: no space left on device"},
		"nothing":     {"", "", ""},
	} {
		h := testServiceHost(t)
		if c.log != "" {
			h.write(log, c.log, 0o644)
		}
		if got := strings.ReplaceAll(dkmsCause(h.Root, []byte(c.said)), h.dir, ""); got != c.want {
			t.Errorf("%s: %q, expected %q", name, got, c.want)
		}
	}
}

// fakeDKMS has what it knows in state/dkms, in the words of "dkms status", and writes down what else it was told. It fails where it is told to.
func (h serviceHost) fakeDKMS(knows, failsAt string) {
	h.write("state/dkms", knows, 0o644)
	h.write("state/dkms-told", "", 0o644)
	h.write("usr/sbin/dkms", `#!/bin/sh
cd `+h.dir+`/state
if [ "$1" = status ]; then cat dkms; exit; fi
echo "$*" >> dkms-told
if [ "$1" = "`+failsAt+`" ] && [ "$4" != 6.1.0-50-amd64 ]; then echo "Error! No room."; exit 4; fi
if [ "$1" = remove ]; then grep -v "^$2[:,]" dkms > dkms.new; mv dkms.new dkms; fi
`, 0o755)
}

// TestDKMSStories runs whole transactions and looks at what dkms is told.
func TestDKMSStories(t *testing.T) {
	const (
		installed = "nvidia/1: added\namp-connector/0.1.0, 6.1.0-49-amd64, x86_64: installed\namp-connector/0.1.0, 6.1.0-50-amd64, x86_64: installed\n"
		upgraded  = "remove amp-connector/0.1.0 --all\nadd amp-connector/0.2.0\ninstall amp-connector/0.2.0 -k 6.1.0-49-amd64\ninstall amp-connector/0.2.0 -k 6.1.0-50-amd64\n"
	)
	debUpgrade := []string{"deb prerm upgrade 0.2.0-1", "deb preinst upgrade 0.1.0-1", "deb postinst configure 0.1.0-1"}
	rpmUpgrade := []string{"rpm preinst 2", "rpm postinst 2", "rpm prerm 1", "rpm posttrans 1"}
	for _, c := range []struct {
		name    string
		knows   string
		failsAt string
		calls   []string
		told    string
		says    string
	}{
		{name: "first install", knows: "nvidia/1: added\n", calls: []string{"deb postinst configure"}},
		{name: "upgrade where nobody wants it", knows: "nvidia/1: added\n", calls: debUpgrade},
		{name: "deb upgrade", knows: installed, calls: debUpgrade, told: upgraded},
		{name: "rpm upgrade", knows: installed, calls: rpmUpgrade, told: upgraded},
		{name: "upgrade of what is added alone", knows: "amp-connector/0.1.0: added\n", calls: debUpgrade, told: "remove amp-connector/0.1.0 --all\nadd amp-connector/0.2.0\n"},
		{
			name: "upgrade, and the build fails for the first of two kernels", knows: installed, failsAt: "install", calls: debUpgrade, told: upgraded,
			says: "    dkms install amp-connector/0.2.0 -k 6.1.0-49-amd64\n",
		},
		{
			name: "upgrade, and the source is not taken", knows: installed, failsAt: "add", calls: debUpgrade, says: "    dkms add amp-connector/0.2.0\n",
			told: "remove amp-connector/0.1.0 --all\nadd amp-connector/0.2.0\n",
		},
		{
			name: "upgrade called off", knows: "amp-connector/0.2.0: added\n", calls: []string{"deb prerm upgrade 0.3.0-1", "deb postinst abort-upgrade 0.3.0-1"},
			told: "remove amp-connector/0.2.0 --all\nadd amp-connector/0.2.0\n",
		},
		{name: "deb remove", knows: installed, calls: []string{"deb prerm remove"}, told: "remove amp-connector/0.1.0 --all\n"},
		{name: "rpm erase", knows: installed, calls: []string{"rpm prerm 0"}, told: "remove amp-connector/0.1.0 --all\n"},
		{
			name: "remove fails", knows: installed, failsAt: "remove", calls: []string{"deb prerm remove"}, told: "remove amp-connector/0.1.0 --all\n",
			says: "dkms remove amp-connector/0.1.0 --all",
		},
		{name: "removed, and installed again", knows: installed, calls: []string{"deb prerm remove", "deb postinst configure 0.1.0-1"}, told: "remove amp-connector/0.1.0 --all\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := testServiceHost(t)
			h.systemd(false, false)
			h.fakeDKMS(c.knows, c.failsAt)
			var out bytes.Buffer
			for _, call := range c.calls {
				w := strings.Fields(call)
				if err := RunHook(t.Context(), h.Host, Call{Format: w[0], Hook: w[1], Args: w[2:], Language: fault.English, Version: "v0.2.0"}, &out); err != nil {
					t.Fatal(err)
				}
			}
			told, err := os.ReadFile(filepath.Join(h.dir, "state/dkms-told"))
			if err != nil || string(told) != c.told {
				t.Errorf("dkms was told\n%s(%v), expected\n%s", told, err, c.told)
			}
			if !strings.Contains(out.String(), c.says) || c.says == "" && strings.Contains(out.String(), "    dkms ") {
				t.Errorf("said\n%s, expected %q", out.String(), c.says)
			}
		})
	}
}
