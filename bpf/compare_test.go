package bpf

import (
	"go/token"
	"net/netip"

	"github.com/google/go-cmp/cmp"

	"github.com/ampconnector/amp/internal/monitor"
)

// fields is a monitor.Process without its own idea of equality.
type fields monitor.Process

// sameEvents lets cmp compare events field by field.
var sameEvents = cmp.Options{
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
	cmp.FilterPath(func(p cmp.Path) bool {
		field, ok := p.Last().(cmp.StructField)
		return ok && !token.IsExported(field.Name())
	}, cmp.Ignore()),
	cmp.Transformer("fields", func(p monitor.Process) fields { return fields(p) }),
}
