package bpf

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/ampconnector/amp/bpf/layout"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
)

// Layouts says where the layouts of a kernel's structures are, of one that does not offer its own BTF.
type Layouts struct {
	layout.Found
	// Stamp changes when the files do that they are read or made from, compilers among them: what failed once is not tried again before.
	Stamp string
}

// LayoutStore is where layouts are found, and kept once they are derived. folder is the policy's, "" for none.
func LayoutStore(folder string) layout.Store { return layout.Store{Dir: layout.Dir, Folder: folder} }

// FindLayouts looks for them where the kernel that is judged has no BTF of its own: own is the running kernel's, and for another one its build
// configuration tells. Elsewhere there is nothing to look for, and the reading is the zero one. It compiles nothing.
func FindLayouts(r host.Root, store layout.Store, own host.Reading[bool], k host.Reading[host.Kernel]) host.Reading[Layouts] {
	if !r.Live() || k.Value.Other {
		own = k.Value.BTF
	}
	switch {
	case k.Err != nil:
		return host.NotKnown[Layouts](k.From, k.Err)
	case own.Known() && own.Value:
		return host.Reading[Layouts]{}
	}
	headers := k.Value.Headers
	found := store.Find(r, k.Value.Release, headers.Value)
	if found.Known() && found.Value.Origin == layout.None && headers.Err != nil {
		return host.NotKnown[Layouts](headers.From, headers.Err)
	}
	return host.Reading[Layouts]{Value: Layouts{found.Value, stamp(r, k.Value.Release, found.Value)}, From: found.From, Err: found.Err}
}

// PackageRecords are where package managers keep what is installed: dpkg, and rpm with SQLite and with Berkeley DB.
var PackageRecords = []string{"/var/lib/dpkg/status", "/var/lib/rpm/rpmdb.sqlite", "/usr/lib/sysimage/rpm/rpmdb.sqlite", "/var/lib/rpm/Packages"}

// stamped are parts of a header tree that its package brings, and the folders where compilers come and go. The records of packages stand beside
// them, which are written last: a tree may be tried while it is still being unpacked.
var stamped = []string{
	".", "Makefile", "Module.symvers", "include/config/auto.conf", "include/generated", "include/generated/autoconf.h", "include/generated/utsrelease.h",
	"scripts/basic/fixdep", "/usr/bin", "/usr/local/bin",
}

// ReadLayouts gives the layouts that FindLayouts found. To derive them takes seconds, in which a compiler runs; that ends with ctx.
func ReadLayouts(ctx context.Context, r host.Root, store layout.Store, k host.Kernel) (Types, layout.Found, error) {
	spec, found, err := store.Open(ctx, r, k.Release, k.Headers.Value)
	if err != nil {
		return Types{}, found, err
	}
	t := Types{Name: monitor.EBPFHeaders, Spec: spec}
	if found.Origin == layout.External {
		t.Name = monitor.EBPFExternalBTF
	}
	if len(found.Assumed) > 0 {
		if t.Spec, t.Lacks = layout.Prove(spec, found.Assumed); t.Spec == nil {
			return Types{}, found, t.Lacks
		}
	}
	return t, found, nil
}

// stamp names the place, and what stat(2) says of the files. One that is not there is told by that.
func stamp(r host.Root, release string, f layout.Found) string {
	var b strings.Builder
	fmt.Fprint(&b, release, " ", f.From)
	names := []string{f.From}
	if f.Origin != layout.External {
		names = slices.Concat(stamped, PackageRecords)
	}
	for _, name := range names {
		if !path.IsAbs(name) {
			name = path.Join("/lib/modules", release, "build", name)
		}
		if fi, err := r.Stat(name); err == nil {
			if st, ok := fi.Sys().(*syscall.Stat_t); ok {
				fmt.Fprint(&b, " ", st.Dev, ":", st.Ino, ":", st.Size, ":", st.Ctim.Nano())
				continue
			}
		}
		b.WriteString(" -")
	}
	return b.String()
}
