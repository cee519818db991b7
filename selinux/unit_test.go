package selinux

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ampconnector/amp/internal/host"
)

func TestUnitContext(t *testing.T) {
	const unit = "/usr/lib/systemd/system/cisco-amp.service"
	with := func(v string) string { return "[Service]\nSELinuxContext=" + v + "\n" }
	for name, c := range map[string]struct {
		files         map[string]string // "null" is a link to /dev/null
		context, from string
		err           string
	}{
		"no unit":            {nil, "", "", ""},
		"unit":               {map[string]string{unit: with("a:b:c")}, "a:b:c", unit, ""},
		"other section":      {map[string]string{unit: "[Unit]\nSELinuxContext=a:b:c\n[Service]\n"}, "", "", ""},
		"etc before usr":     {map[string]string{unit: with("a:b:c"), "/etc/systemd/system/cisco-amp.service": "[Service]\n"}, "", "", ""},
		"comment, continued": {map[string]string{unit: "[Service]\n# SELinuxContext=x\nSELinuxContext = \\\n; in between\n  a:b:c\n"}, "a:b:c", unit, ""},
		"last one wins":      {map[string]string{unit: with("a:b:c") + "SELinuxContext=d:e:f\n"}, "d:e:f", unit, ""},
		"taken back": {map[string]string{unit: with("a:b:c"), "/etc/systemd/system/cisco-amp.service.d/x.conf": with("")},
			"", "/etc/systemd/system/cisco-amp.service.d/x.conf", ""},
		"drop-ins by name": {map[string]string{
			"/run/systemd/system/cisco-amp.service.d/20.conf": with("a:b:twenty"),
			"/etc/systemd/system/cisco-amp.service.d/10.conf": with("a:b:ten"),
		}, "a:b:twenty", "/run/systemd/system/cisco-amp.service.d/20.conf", ""},
		"same name, higher directory": {map[string]string{
			"/usr/lib/systemd/system/cisco-amp.service.d/10.conf": with("a:b:lib"),
			"/etc/systemd/system/cisco-amp.service.d/10.conf":     with("a:b:etc"),
		}, "a:b:etc", "/etc/systemd/system/cisco-amp.service.d/10.conf", ""},
		"masked drop-in": {map[string]string{
			"/usr/lib/systemd/system/cisco-amp.service.d/10.conf": with("a:b:lib"),
			"/etc/systemd/system/cisco-amp.service.d/10.conf":     "null",
		}, "", "", ""},
		"for all services": {map[string]string{"/etc/systemd/system/service.d/10.conf": with("a:b:all")},
			"a:b:all", "/etc/systemd/system/service.d/10.conf", ""},
		"for a prefix": {map[string]string{
			"/etc/systemd/system/cisco-.service.d/10.conf": with("a:b:prefix"),
			"/etc/systemd/system/service.d/10.conf":        with("a:b:all"),
		}, "a:b:prefix", "/etc/systemd/system/cisco-.service.d/10.conf", ""},
		"ignored failure": {map[string]string{unit: with("-a:b:c")}, "a:b:c", unit, ""},
		"specifier":       {map[string]string{unit: with("a:b:%i")}, "", "", "only systemd can expand"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for file, content := range c.files {
				write(t, root+file, content)
				if content == "null" {
					must(t, os.Remove(root+file))
					must(t, os.Symlink("/dev/null", root+file))
				}
			}
			context, from, err := unitContext(host.At(root), "cisco-amp.service")
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("error %v, want %q", err, c.err)
				}
				return
			}
			if context != c.context || from != c.from || err != nil {
				t.Errorf("%q from %q (%v), want %q from %q", context, from, err, c.context, c.from)
			}
		})
	}
}

func TestUnitNames(t *testing.T) {
	for _, unit := range []string{"", "cisco-amp", "../x.service", "a/b.service", ".service"} {
		if _, _, err := unitContext(host.At(t.TempDir()), unit); err == nil {
			t.Errorf("%q was taken for a unit", unit)
		}
	}
	want := []string{"a-b-c.service.d", "a-b-.service.d", "a-.service.d", "service.d"}
	if diff := cmp.Diff(want, dropInDirs("a-b-c.service")); diff != "" {
		t.Error(diff)
	}
}

func FuzzUnit(f *testing.F) {
	f.Add("[Service]\nSELinuxContext=a:b:c\n")
	f.Add("[Service]\nSELinuxContext=\\\n#x\n;y\n a\\")
	f.Fuzz(func(t *testing.T, s string) {
		if v, ok := serviceSetting([]byte(s), "SELinuxContext"); !ok && v != "" || strings.Contains(v, "\n") {
			t.Errorf("%q: %q, %v", s, v, ok)
		}
	})
}
