package kmod

import (
	"context"
	"errors"
	"path"

	"github.com/ampconnector/amp/internal/host"
)

// Prepare has the modules of this version ready for an installed kernel that need not run, so that Ensure has only to load them once it does: those that
// neither came prebuilt nor are among the kernel's own modules are built from its headers. built tells whether any had to be. What was kept for kernels
// that are gone is removed. Where headers, compiler or build are the matter, the error is a *layout.Error.
func Prepare(ctx context.Context, r host.Root, kernel host.Kernel) (built bool, err error) {
	if err := host.CheckRelease(kernel.Release); err != nil {
		return false, err
	}
	gone := dropGone(r, kernel.Release)
	if allReady(func(m *module) bool { return m.ready(r, kernel.Release) }) {
		return false, gone
	}
	dir, err := builtDir(r, kernel)
	if err != nil {
		return false, errors.Join(err, gone)
	}
	if allReady(func(m *module) bool { return m.fitIn(r, dir, kernel.Release) }) {
		return false, gone
	}
	if err := build(ctx, r, kernel, dir); err != nil {
		return false, errors.Join(err, gone)
	}
	return true, gone
}

func allReady(ready func(*module) bool) bool {
	for i := range modules {
		if !ready(&modules[i]) {
			return false
		}
	}
	return true
}

// ready reports whether the module came prebuilt, or is among the kernel's own ones.
func (m *module) ready(r host.Root, release string) bool {
	if m.fitIn(r, path.Join(PrebuiltDir, release), release) {
		return true
	}
	_, b, err := m.installed(r, release)
	return err == nil && fits(b, release)
}

func (m *module) fitIn(r host.Root, dir, release string) bool {
	b, err := r.ReadFile(path.Join(dir, m.file()), maxModule)
	return err == nil && fits(b, release)
}
