package selinux

import (
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/ampconnector/amp/internal/host"
)

// maxModule bounds a module that is read from the store, in bytes as stored and as unpacked. Ours has about 500; a distribution's base
// module unpacks to 6 MB, and is never read.
const maxModule = 1 << 20

// store is a module store of libsemanage below a root. It is read without commands: asking semodule takes the store's lock and a second.
type store struct {
	root host.Root
	typ  string // policy type, e.g. "targeted"
	dir  string // e.g. "/var/lib/selinux/targeted"
	// set is "active"; "previous" where a killed change left no other one, see repair.
	set string
	// flat is the layout before libsemanage 2.4: one directory of NAME.pp files without priorities, NAME.pp.disabled beside them.
	flat bool
}

// errNoStore says that a host has no module store for a policy type, as where the policy was built in one piece. A store without any module
// is none either: "semodule -l" makes one on a host that has the tools and no policy (libsemanage 3.4).
var errNoStore = fmt.Errorf("no module store: %w", fs.ErrNotExist)

// openStore finds the store of a policy type: where semanage.conf(5) says, else in the places that libsemanage was built for.
func openStore(r host.Root, policyType string) (store, error) {
	if !validName(policyType) {
		return store{}, fmt.Errorf("%.80q is not the name of a policy", policyType)
	}
	var problem error
	for _, base := range storeRoots(r) {
		s := store{root: r, typ: policyType, dir: path.Join(base, policyType), set: "active"}
		lost, err := s.lost()
		if err != nil {
			problem = errors.Join(problem, err)
			continue
		}
		if lost {
			s.set = "previous"
		}
		there, err := s.hasModules(s.set)
		if there {
			return s, nil
		}
		problem = errors.Join(problem, err)
	}
	flat := store{root: r, typ: policyType, dir: path.Join("/etc/selinux", policyType, "modules"), set: "active", flat: true}
	if _, err := r.Stat(flat.modules()); err == nil {
		return flat, nil
	}
	if problem != nil {
		return store{}, problem
	}
	return store{}, fmt.Errorf("%s: %w", path.Join(storeRoots(r)[0], policyType), errNoStore)
}

// storeRoots is where stores are looked for. Enterprise Linux 7 and image-based systems keep theirs below /etc/selinux.
func storeRoots(r host.Root) []string {
	roots := []string{"/var/lib/selinux", "/etc/selinux"}
	b, err := r.ReadFile("/etc/selinux/semanage.conf", maxConfig)
	if err != nil {
		return roots
	}
	for _, line := range strings.Split(string(b), "\n") {
		k, v, ok := strings.Cut(line, "=")
		if v = strings.TrimSpace(v); ok && strings.TrimSpace(k) == "store-root" && path.IsAbs(v) && len(v) < 4096 {
			return append([]string{path.Clean(v)}, roots...)
		}
	}
	return roots
}

func (s store) modules() string { return path.Join(s.dir, s.set, "modules") }

// lost reports whether a killed change took the store's modules away: "active" is not there or empty, and "previous" has modules.
func (s store) lost() (bool, error) {
	active, err := s.hasModules("active")
	if err != nil || active {
		return false, err
	}
	return s.hasModules("previous")
}

// hasModules reports whether a set holds any module. A policy without one cannot be.
func (s store) hasModules(set string) (bool, error) {
	dir := path.Join(s.dir, set, "modules")
	priorities, err := s.root.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, p := range priorities {
		if n, err := strconv.ParseUint(p.Name(), 10, 10); err != nil || n == 0 {
			continue
		}
		modules, err := s.root.ReadDir(path.Join(dir, p.Name()))
		if err != nil {
			return false, err
		}
		if len(modules) > 0 {
			return true, nil
		}
	}
	return false, nil
}

// entries lists the modules of a name, highest priority first.
func (s store) entries(name string) ([]Stored, error) {
	if s.flat {
		return s.flatEntries(name)
	}
	dirs, err := s.root.ReadDir(s.modules())
	if err != nil {
		return nil, err
	}
	var found []Stored
	for _, d := range dirs {
		priority, err := strconv.ParseUint(d.Name(), 10, 10)
		if err != nil || priority == 0 { // "disabled"
			continue
		}
		file := path.Join(s.modules(), d.Name(), name, "lang_ext")
		b, err := s.root.ReadFile(file, 64)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return nil, err
		case !validWord(string(b)):
			return nil, fmt.Errorf("%s: %q is not the name of a policy language", file, b)
		}
		found = append(found, Stored{int(priority), string(b)})
	}
	slices.SortFunc(found, func(a, b Stored) int { return b.Priority - a.Priority })
	return found, nil
}

func (s store) flatEntries(name string) ([]Stored, error) {
	switch _, err := s.root.Stat(path.Join(s.modules(), name+".pp")); {
	case err == nil:
		return []Stored{{Priority, "pp"}}, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	default:
		return nil, err
	}
}

// disabled reports whether a module was switched off (semodule -d), at whatever priority.
func (s store) disabled(name string) (bool, error) {
	file := path.Join(s.modules(), "disabled", name)
	if s.flat {
		file = path.Join(s.modules(), name+".pp.disabled")
	}
	switch _, err := s.root.Stat(file); {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	default:
		return false, err
	}
}

// source is a module as it was installed: CIL text, or the package that CIL is made from.
func (s store) source(name string, e Stored) ([]byte, error) {
	file := path.Join(s.modules(), strconv.Itoa(e.Priority), name, "hll")
	if e.Language == "cil" {
		file = path.Join(path.Dir(file), "cil")
	}
	if s.flat {
		file = path.Join(s.modules(), name+".pp")
	}
	b, err := s.root.ReadFile(file, maxModule)
	if err != nil {
		return nil, err
	}
	return unpack(file, b)
}

// maxUnpackedKept is far above what our module has, in bytes.
const maxUnpackedKept = 64 << 10

// unpacked is what unpack read last, and what of. A reader of bzip2 takes 4 MB to read the few hundred bytes of our module, which the daemon looks at
// each minute and a remedy three times.
var unpacked struct {
	sync.Mutex
	from, to []byte
}

// unpack takes off the bzip2 of a stored module; bzip-blocksize=0 in semanage.conf(5) stores it as it is. Callers do not change what they get.
func unpack(file string, b []byte) ([]byte, error) {
	if !bytes.HasPrefix(b, []byte("BZh")) {
		return b, nil
	}
	unpacked.Lock()
	defer unpacked.Unlock()
	if bytes.Equal(b, unpacked.from) {
		return unpacked.to, nil
	}
	out, err := io.ReadAll(io.LimitReader(bzip2.NewReader(bytes.NewReader(b)), maxModule+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(out) > maxModule {
		return nil, fmt.Errorf("%s: %w: more than %d bytes unpacked", file, host.ErrTooLarge, maxModule)
	}
	if len(out) <= maxUnpackedKept {
		unpacked.from, unpacked.to = b, out
	}
	return out, nil
}

// built reports whether the policy file that the host loads at boot is the one that libsemanage made of this store. A change that was
// killed between the two leaves them apart.
func (s store) built() (bool, error) {
	if s.set != "active" {
		return false, nil
	}
	made, err := s.root.Path(path.Join(s.dir, "active/policy.kern"))
	if err != nil {
		return false, err
	}
	policies := path.Join("/etc/selinux", s.typ, "policy")
	files, err := s.root.ReadDir(policies)
	if err != nil {
		return false, err
	}
	newest, version := "", uint64(0)
	for _, f := range files {
		v, ok := strings.CutPrefix(f.Name(), "policy.")
		if n, err := strconv.ParseUint(v, 10, 16); ok && err == nil && n > version {
			newest, version = path.Join(policies, f.Name()), n
		}
	}
	if newest == "" {
		return false, nil
	}
	loaded, err := s.root.Path(newest)
	if err != nil {
		return false, err
	}
	return sameFile(made, loaded)
}

// read tells the state of our module. cil is what we would install, "" where that is not known.
func (s store) read(cil string) (Store, error) {
	out := Store{State: ModuleAbsent, Path: s.modules()}
	var err error
	if out.Entries, err = s.entries(ModuleName); err != nil {
		return Store{}, err
	}
	disabled, err := s.disabled(ModuleName)
	if err != nil {
		return Store{}, err
	}
	out.Current = s.current(out.Entries, cil)
	if out.Beside, err = s.besideEnabled(); err != nil {
		return Store{}, err
	}
	built, err := s.built()
	out.Built = host.Reading[bool]{Value: built, From: path.Join(s.dir, "active/policy.kern"), Err: err}
	if len(out.Entries) == 0 {
		return out, nil
	}
	out.judge(disabled)
	return out, nil
}

// judge fills in State, Priority and Shadow. A higher entry that is word for word ours hides nothing.
func (s *Store) judge(disabled bool) {
	top := s.Entries[0].Priority
	ours := top
	if top > Priority && !(s.Current.Known() && s.Current.Value) {
		s.Shadow, ours = top, 0
		for _, e := range s.Entries {
			if e.Priority <= Priority {
				ours = e.Priority
				break
			}
		}
	}
	s.Priority = ours
	switch {
	case disabled:
		s.State = ModuleDisabled
	case s.Shadow != 0:
		s.State = ModuleShadowed
	default:
		s.State = ModulePresent
	}
}

// current compares the entry in force with what we would install.
func (s store) current(entries []Stored, cil string) host.Reading[bool] {
	if len(entries) == 0 {
		return host.Read(false, s.modules())
	}
	from := path.Join(s.modules(), strconv.Itoa(entries[0].Priority), ModuleName)
	if cil == "" {
		return host.NotKnown[bool](from, errors.New("the domain that the service runs in is not known"))
	}
	if entries[0].Language != "cil" {
		return host.Read(false, from)
	}
	b, err := s.source(ModuleName, entries[0])
	return host.Reading[bool]{Value: err == nil && string(b) == cil, From: from, Err: err}
}

func (s store) besideEnabled() (bool, error) {
	entries, err := s.entries(BesideName)
	if err != nil || len(entries) == 0 {
		return false, err
	}
	disabled, err := s.disabled(BesideName)
	return !disabled, err
}

// readStore reads the store of a host.
func readStore(r host.Root, policyType host.Reading[string], cil string) host.Reading[Store] {
	if !policyType.Known() {
		return host.NotKnown[Store](policyType.From, policyType.Err)
	}
	s, err := openStore(r, policyType.Value)
	if err != nil {
		return host.NotKnown[Store]("/var/lib/selinux", err)
	}
	st, err := s.read(cil)
	if err != nil {
		return host.NotKnown[Store](s.modules(), err)
	}
	return host.Read(st, s.modules())
}
