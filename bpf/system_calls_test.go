package bpf

import (
	"strings"
	"testing"
)

// A table has room for one program a call, and only for calls that have a number.
func TestCallsHaveOneProgram(t *testing.T) {
	taken := map[string]string{}
	for _, h := range hooks {
		if h.how != toSysEnter && h.how != toSysExit {
			continue
		}
		for _, name := range strings.Fields(h.to) {
			if _, ok := callNumbers[name]; !ok {
				t.Errorf("%s: the number of %s is not known", h.program, name)
			}
			at := callTables[h.how] + " " + name
			if other := taken[at]; other != "" {
				t.Errorf("%s and %s are both put under %s", other, h.program, at)
			}
			taken[at] = h.program
		}
	}
}
