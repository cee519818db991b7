package guest

import (
	"strings"
	"testing"
)

func TestHeaderOf(t *testing.T) {
	for _, c := range []struct {
		script          string
		guests, nightly string
		boot            int
		fails           string
	}{
		{script: "# guest: a\n", guests: "a", boot: 1},
		{script: "# What it shows.\n# guest: a, b\nexec true\n", guests: "a b", boot: 1},
		{script: "# nightly: a\n# boot: 2\n", nightly: "a", boot: 2},
		{script: "# guest: a\n# nightly: b,c\n", guests: "a", nightly: "b c", boot: 1},
		{script: "# guest: a\n" + strings.Repeat("#\n", headerLines) + "# boot: 2\n", guests: "a", boot: 1},
		{script: "# guest: a,,b\n", fails: "line 1"},
		{script: "#\n# nightly:\n", fails: "line 2"},
		{script: "exec true\n", fails: "no line"},
		{script: "", fails: "no line"},
		{script: strings.Repeat("#\n", headerLines) + "# guest: a\n", fails: "no line"},
		{script: "# guest: a\n# nightly: b, a\n", fails: "twice"},
		{script: "# guest: a\n# boot: 0\n", fails: "line 2"},
		{script: "# guest: a\n# boot: twice\n", fails: "line 2"},
	} {
		h, err := headerOf("x", []byte(c.script))
		if c.fails != "" {
			if err == nil || !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%q: %+v, %v; expected an error with %q", c.script, h, err, c.fails)
			}
			continue
		}
		if err != nil || strings.Join(h.guests, " ") != c.guests || strings.Join(h.nightly, " ") != c.nightly || h.boot != c.boot {
			t.Errorf("%q: %+v, %v; expected guests %q, nightly %q, boot %d", c.script, h, err, c.guests, c.nightly, c.boot)
		}
	}
}

func TestRunsIn(t *testing.T) {
	h := header{guests: []string{"a"}, nightly: []string{"b"}, boot: 2}
	for _, c := range []struct {
		guest   string
		boot    int
		nightly bool
		want    bool
	}{
		{"a", 2, false, true},
		{"a", 2, true, true},
		{"a", 1, true, false},
		{"b", 2, false, false},
		{"b", 2, true, true},
		{"c", 2, true, false},
	} {
		if got := h.runsIn(c.guest, c.boot, c.nightly); got != c.want {
			t.Errorf("boot %d of %s, nightly %t: %t", c.boot, c.guest, c.nightly, got)
		}
	}
}
