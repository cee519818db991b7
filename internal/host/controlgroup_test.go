package host

import (
	"errors"
	"strings"
	"testing"
)

func TestParseControlGroup(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unified", "0::/system.slice/cisco-amp.service\n", "/system.slice/cisco-amp.service"},
		{"the root", "0::/\n", "/"},
		{"hybrid", "12:memory:/user.slice\n1:name=systemd:/user.slice/x\n0::/user.slice/y\n", "/user.slice/y"},
		{"version 1", "12:memory:/user.slice\n1:name=systemd:/user.slice/x\n", ""},
		{"colons", "0::/a:b/c::d\n", "/a:b/c::d"},
		{"removed", "0::/gone (deleted)\n", "/gone"},
		{"nothing", "", ""},
		{"no line end", "0::/x", "/x"},
		{"no path", "0::\n", "error"},
		{"relative", "0::x\n", "error"},
		{"outside", "0::/../x\n", "error"}, // seen from a namespace below
	} {
		t.Run(c.name, func(t *testing.T) {
			g, err := ParseControlGroup("f", []byte(c.text))
			if c.want == "error" && !errors.Is(err, ErrMalformed) || c.want != "error" && (err != nil || g.Path != c.want) {
				t.Errorf("%+v, %v; expected %q", g, err, c.want)
			}
		})
	}
}

func FuzzControlGroup(f *testing.F) {
	f.Add([]byte("12:memory:/user.slice\n0::/user.slice/y\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if g, err := ParseControlGroup("f", b); err == nil && g.Path != "" && (!strings.HasPrefix(g.Path, "/") || strings.Contains(g.Path, "/../")) {
			t.Errorf("%+v of %q", g, b)
		}
	})
}
