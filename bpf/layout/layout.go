// Package layout finds or makes the BTF of a kernel that does not offer its own: the layouts of its structures, by which the eBPF
// programs are relocated. They come from a file that the host has, or from the kernel's header package: a C file that names the
// structures is compiled there with debug information, and that is turned into BTF. It knows structures; it loads no programs of the source.
package layout

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path"
	"path/filepath"

	"github.com/cilium/ebpf/btf"

	"github.com/ampconnector/amp/internal/host"
)

// Dir is where derived layouts are kept, and ExternalDir where an administrator puts BTF files.
const (
	Dir         = "/var/lib/cisco/amp/layouts"
	ExternalDir = "/var/lib/cisco/amp/btf"
)

// Origin is where layouts come from.
type Origin string

// The origins, the best first.
const (
	External Origin = "external file"
	Cached   Origin = "cached derivation" // from the headers that are there now
	Derived  Origin = "kernel headers"    // of Find: the derivation is still to be made
	None     Origin = "none"
)

// Found says where the layouts of a kernel are.
type Found struct {
	Origin  Origin
	From    string   // the file, or the header tree
	Reason  *Error   // why there are none; nil otherwise
	Passed  []*Error // files that were looked at and passed over
	Assumed []string // structures that no header has, declared here: Prove tells whether they hold on the running kernel
	Unkept  error    // why layouts that Open derived were not kept, so that they have to be derived again
}

// Store keeps derived layouts.
type Store struct {
	Dir    string // as seen from inside the root
	Folder string // of an administrator's BTF files, looked at before all others; "" is none
}

// Find tells where Open would take the layouts from. It is cheap: it compiles nothing, and reads no more of an external file than its header.
func (s Store) Find(r host.Root, release string, headers *host.Headers) host.Reading[Found] {
	p, err := s.find(r, release, headers)
	if err != nil {
		return host.NotKnown[Found](ExternalDir, err)
	}
	from := p.From
	if p.Origin == None {
		from = p.Reason.From
	} else if p.Origin == Derived && !r.Live() {
		p.Origin, p.Reason = None, notHere(p.From)
	}
	return host.Read(p.Found, from)
}

func notHere(tree string) *Error { return &Error{Why: NotHere, From: tree} }

// plan is what was found, and what else is needed to open it.
type plan struct {
	Found
	tools *toolchain // to derive with
	cache string     // where the derivation is or will be kept
}

func (s Store) find(r host.Root, release string, headers *host.Headers) (*plan, error) {
	if err := host.CheckRelease(release); err != nil {
		return nil, err
	}
	e, passed, err := s.findExternal(r, release)
	if err != nil {
		return nil, err
	}
	if e != nil {
		return &plan{Found: Found{Origin: External, From: e.name, Passed: passed}}, nil
	}
	p := &plan{Found: Found{Origin: None, Passed: passed}}
	if p.Reason = MissingHeaders(release, headers); p.Reason != nil {
		return p, nil //nolint:nilerr // the plan has it: it is an answer
	}
	p.From, p.Assumed = headers.Link, assumed
	k, err := key(r, headers.Link)
	if err != nil {
		return nil, err
	}
	p.cache = s.cacheName(release, k)
	if isKept(r, p.cache) {
		p.Origin = Cached
		return p, nil
	}
	return p, p.withTools(r)
}

// withTools finds what to derive with.
func (p *plan) withTools(r host.Root) error {
	tools, err := findToolchain(r, p.From)
	var e *Error
	switch {
	case errors.As(err, &e):
		p.Origin, p.Reason = None, e
	case err != nil:
		return err
	default:
		p.Origin, p.tools = Derived, tools
	}
	return nil
}

// Open gives the layouts of the release, which are derived and kept if need be; that takes seconds, and ends with ctx. Where it is layouts
// that are the matter, err is an *Error, which is Found.Reason too.
func (s Store) Open(ctx context.Context, r host.Root, release string, headers *host.Headers) (*btf.Spec, Found, error) {
	p, err := s.find(r, release, headers)
	if err != nil {
		return nil, Found{Origin: None}, err
	}
	var spec *btf.Spec
	if p.Origin == Derived && !r.Live() {
		err = notHere(p.From)
	} else {
		spec, err = s.open(ctx, r, release, p)
	}
	if err != nil {
		p.Origin = None
		errors.As(err, &p.Reason)
		return nil, p.Found, err
	}
	return spec, p.Found, nil
}

func (s Store) open(ctx context.Context, r host.Root, release string, p *plan) (spec *btf.Spec, err error) {
	var b []byte
	switch p.Origin {
	case External:
		b, err = readExternal(r, p.From, release)
	case Cached:
		b, err = readCache(r, p.cache)
	case Derived:
		b, err = s.derive(ctx, r, release, p)
	default:
		err = p.Reason
	}
	if err != nil {
		return nil, err
	}
	if spec, err = parse(b); err != nil {
		return nil, &Error{Why: Malformed, From: p.From, Err: err}
	}
	return spec, contradiction(r, release, p.From, spec)
}

// derive compiles, and keeps what comes of it: the layouts, or else what the build said.
func (s Store) derive(ctx context.Context, r host.Root, release string, p *plan) ([]byte, error) {
	dir, err := r.Path(s.Dir)
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		return nil, &Error{Why: diskOr(err, BuildFailed), From: s.Dir, Err: err}
	}
	object, said, err := compile(ctx, r, p.tools, dir)
	var types []byte
	if err == nil {
		types, err = fromObject(bytes.NewReader(object))
	}
	if err == nil {
		p.Unkept = s.keep(r, p.cache, types)
		return types, nil
	}
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Why: Malformed, From: objectName, Err: err}
		if errors.Is(err, errNoDebugInfo) || errors.Is(err, errNoTypes) {
			e = &Error{Why: NoDebugInfo, From: p.From, Err: err}
		}
	}
	if log := path.Join(s.Dir, release+".log"); len(said) > 0 && os.WriteFile(filepath.Join(dir, path.Base(log)), said, 0o644) == nil {
		e.Log = log
	}
	return nil, e
}
