package kmod

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/bpf/layout"
	"github.com/ampconnector/amp/internal/host"
)

// Where modules are, by release of the kernel, as seen from inside the root. Those that came prebuilt are preferred.
const (
	PrebuiltDir = "/opt/cisco/amp/share/kmod"
	BuiltDir    = "/var/lib/cisco/amp/kmod"
)

// ErrForeign is a loaded module that has our name and is not ours.
var ErrForeign = errors.New("another module of that name is loaded")

// Ensure has the modules of this version loaded, for the kernel of that release, which runs: those that came prebuilt where the kernel takes them, else
// those that are installed among its own modules, as DKMS does it, else those that were built from its headers, now or before. Those of ours that are
// loaded already are taken out first: they may be of another version. It needs CAP_SYS_MODULE, which the daemon does not have, and nobody may read the modules meanwhile.
// named is the key that the policy names, for modules that have to be signed; forbidden, which may be nil, says why a security module lets this process load
// none out of a file, nil where it does or that is not known. What it returns are the modules that are not there afterwards. Where the kernel
// did not take one, its error is a *Refusal; where it could not be built, a *layout.Error.
func Ensure(ctx context.Context, r host.Root, release string, named KeyFiles, forbidden func(file string) error) map[string]error {
	refused := map[string]error{}
	for i := range modules {
		m := &modules[i]
		err := host.CheckRelease(release)
		if err == nil {
			err = m.remove(r)
		}
		if err == nil {
			l := loader{r, host.ReadKernel(r, release), named, forbidden}
			err = l.ensure(ctx, m)
		}
		if err != nil {
			refused[m.name] = err
		}
	}
	return refused
}

// Remove takes out those modules of ours that are loaded.
func Remove(r host.Root) error {
	var err error
	for _, m := range modules {
		if e := m.remove(r); !errors.Is(e, ErrForeign) {
			err = errors.Join(err, e)
		}
	}
	return err
}

func (m *module) remove(r host.Root) error {
	loaded, ours, err := m.loaded(r)
	switch {
	case err != nil || !loaded:
		return err
	case !ours:
		return fmt.Errorf("kernel module %s: %w", m.name, ErrForeign)
	}
	return Unload(m.name)
}

// loaded reports whether a module of the name is in the kernel, and whether it has the parameter that ours has.
func (m *module) loaded(r host.Root) (loaded, ours bool, err error) {
	for of, to := range map[string]*bool{"": &loaded, "/parameters/ring_mib": &ours} {
		name, err := r.Path("/sys/module/" + m.name + of)
		if err == nil {
			_, err = os.Lstat(name)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, false, err
		}
		*to = err == nil
	}
	return loaded, ours, nil
}

// loader loads modules into the kernel that runs.
type loader struct {
	root   host.Root
	kernel host.Kernel
	named  KeyFiles // of the policy

	forbidden func(file string) error // may be nil
}

func (l *loader) ensure(ctx context.Context, m *module) error {
	release := l.kernel.Release
	err := loadFirst(
		func() error { return l.load(m, path.Join(PrebuiltDir, release), signedDir(release)) },
		func() error { return l.loadInstalled(m) },
	)
	if err == nil || !passable(err) || asksSignature(err) { // what is built here is refused for want of one too
		return err
	}
	built := l.ensureBuilt(ctx, m)
	var unbuilt *layout.Error
	if errors.As(built, &unbuilt) && refusalOf(err) != nil { // either one mended is enough
		return errors.Join(err, built)
	}
	return built
}

// ensureBuilt loads what was built from the kernel's headers, and builds it where it is not there or does not fit.
func (l *loader) ensureBuilt(ctx context.Context, m *module) error {
	dir, err := builtDir(l.root, l.kernel)
	if err != nil {
		return err
	}
	if err := l.load(m, dir, dir); !errors.Is(err, fs.ErrNotExist) && !unfit(err) {
		return err
	}
	if err := build(ctx, l.root, l.kernel, dir); err != nil {
		return err
	}
	return l.load(m, dir, dir)
}

// loadFirst loads by the first way that does it. Where none does, the error is that of a module that was refused for want of a signature, else of one that
// was refused at all.
func loadFirst(ways ...func() error) error {
	var unsigned, refused, err error
	for _, load := range ways {
		if err = load(); err == nil || !passable(err) {
			return err
		}
		switch {
		case asksSignature(err):
			unsigned = cmp.Or(unsigned, err)
		case refusalOf(err) != nil:
			refused = cmp.Or(refused, err)
		}
	}
	return cmp.Or(unsigned, refused, err)
}

// passable reports whether another module may do after this error of one: it is not there, is not the right one, or has no signature that the kernel
// trusts, which another may have.
func passable(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || unfit(err) || asksSignature(err)
}

func asksSignature(err error) bool {
	refusal := refusalOf(err)
	return refusal != nil && refusal.Cause.AsksSignature()
}

// unfit reports whether a module may be refused for what it is, so that another one may do: of another version of the kernel or of ours, with symbols
// that the kernel does not have, or damaged, also since it was signed. What is refused for want of a signature is refused whatever it is.
func unfit(err error) bool {
	if refusal := refusalOf(err); refusal != nil && refusal.Cause == BadSignature {
		return true
	}
	return errors.Is(err, unix.ENOEXEC) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) || errors.Is(err, errOtherSources) || errors.Is(err, errPacked)
}

// signedDir is where signed copies are of modules that came prebuilt, or that the kernel's own modules have: those themselves are others'.
func signedDir(release string) string { return path.Join(BuiltDir, release+"-signed") }

// load loads the module out of dir. Where the kernel asks for a signature, and trusts a key of the host, a copy with one goes into signed.
func (l *loader) load(m *module, dir, signed string) error {
	name, err := l.root.Path(path.Join(dir, m.file()))
	if err != nil {
		return err
	}
	copied, err := l.root.Path(path.Join(signed, m.file()))
	if err != nil {
		return err
	}
	if err := checkSources(name); err != nil {
		return err
	}
	asked := func() host.ModuleLoading { return host.ModuleLoadingOf(l.root, host.Read(l.kernel, name)) }
	return l.loadSigned(asked, name, copied, func(name string) error { return l.tryLoad(m.name, name) })
}
