package kmod

import (
	"testing"

	"github.com/ampconnector/amp/bpf/layout"
)

// TestReason: what is missing is named once.
func TestReason(t *testing.T) {
	for _, c := range []struct {
		e    *layout.Error
		want string
	}{
		{&layout.Error{Why: layout.NoMake, From: "/tree", Wanted: "make"}, "make is not installed: /tree"},
		{
			&layout.Error{Why: layout.NoCompiler, From: "/tree", Wanted: "gcc-12", Log: "/log"},
			"the compiler that the kernel's headers ask for is not installed: /tree: gcc-12 (log: /log)",
		},
	} {
		if got := Reason(c.e); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
