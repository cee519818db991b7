package bpf

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"

	"github.com/ampconnector/amp/internal/monitor"
)

// loaded is the kernel's side of a source: programs, maps and attachments. Its methods are not for several goroutines at a time.
type loaded struct {
	set   hookSet
	types *btf.Spec // layouts to relocate with; nil: the kernel's own
	ring  uint32    // bytes
	// second: hooks have their second programs too, as is needed where the kernel preempts a program. An administrator may turn that on
	// later (debugfs, sched/preempt): what is left out then is counted, see misses.
	second bool

	maps     map[string]*ebpf.Map // that objects share, by name
	programs map[string]*ebpf.Program
	links    map[string][]link.Link // by program of the hook
	failed   map[string]error       // why a hook's program does not work here
	cache    *btf.Cache             // of the kernel's types, while programs are loaded; nil at other times
}

func newLoaded(set hookSet, types *btf.Spec, ring uint32) *loaded {
	return &loaded{
		set: set, types: types, ring: ring,
		maps: map[string]*ebpf.Map{}, programs: map[string]*ebpf.Program{}, links: map[string][]link.Link{}, failed: map[string]error{},
	}
}

// reconcile attaches what is needed for s, and detaches the rest. It fails if an essential hook does; what else does not work here stands
// in l.failed afterwards.
func (l *loaded) reconcile(s *applied) error {
	var err error
	if l.cache == nil {
		l.cache = btf.NewCache()
	}
	defer func() { l.cache = nil }()
	for _, o := range objects {
		var missing []*hook
		for h := range l.hooks() {
			if l.failed[h.program] == nil && l.needed(h, s) && len(l.missing(h, o)) > 0 {
				missing = append(missing, h)
			}
		}
		if len(missing) > 0 {
			err = errors.Join(err, l.load(o, missing))
		}
	}
	for h := range l.hooks() {
		switch attached := l.links[h.program] != nil; {
		case l.failed[h.program] != nil:
		case attached && !l.needed(h, s):
			err = errors.Join(err, l.detach(h))
		case !attached && l.needed(h, s):
			if e := l.attach(h); e != nil {
				err = errors.Join(err, l.fail(h, e))
			}
		}
	}
	return err
}

// hooks gives those of the set, in order.
func (l *loaded) hooks() func(func(*hook) bool) {
	return func(yield func(*hook) bool) {
		for i := range hooks {
			if hooks[i].sets&l.set != 0 && !yield(&hooks[i]) {
				return
			}
		}
	}
}

func (l *loaded) needed(h *hook, s *applied) bool {
	return (h.kinds == 0 || h.kinds&s.kinds != 0) && (h.only == nil || h.only(s))
}

// fail notes that a hook does not work here; it returns the error if the source cannot be without it.
func (l *loaded) fail(h *hook, err error) error {
	l.failed[h.program] = err
	if h.essential {
		return err
	}
	return nil
}

// missing are the programs of a hook that an object has and that are not loaded yet.
func (l *loaded) missing(h *hook, o object) []string {
	return slices.DeleteFunc(h.of(o.name, l.second), func(name string) bool { return l.programs[name] != nil })
}

// load loads the programs of some hooks that an object has: all together, and if that is refused, one by one, with what says why.
func (l *loaded) load(o object, hs []*hook) error {
	spec, err := o.load()
	if err != nil {
		return err
	}
	if err := l.makeMaps(spec); err != nil {
		return err
	}
	var names []string
	for _, h := range hs {
		names = append(names, l.missing(h, o)...)
	}
	if l.loadPrograms(spec, names, false) == nil {
		return nil
	}
	if spec, err = o.load(); err != nil { // the other was made to fit: a copy beforehand would be half of all memory that a start takes
		return err
	}
	for _, h := range hs {
		if e := l.loadPrograms(spec.Copy(), l.missing(h, o), true); e != nil {
			err = errors.Join(err, l.fail(h, fmt.Errorf("load eBPF program %s: %w", h.program, e)))
		}
	}
	return err
}

// names are those of a hook's programs that are used here.
func (l *loaded) names(h *hook) []string { return h.names(l.second) }

// names are those of its programs, with the second one where it has that.
func (h *hook) names(second bool) []string {
	if h.hasSecond(second) {
		return []string{h.program, h.program + "_second"}
	}
	return []string{h.program}
}

// of are those of its names that are in an object.
func (h *hook) of(object string, second bool) (names []string) {
	if h.object == object {
		names = append(names, h.program)
	}
	if h.second == object && h.hasSecond(second) {
		names = append(names, h.program+"_second")
	}
	return names
}

func (h *hook) hasSecond(second bool) bool { return h.second != "" && (second || h.interrupted) }

// makeMaps makes the object's maps that no other object brought before. The compiler's own (.rodata) belong to each load by itself.
func (l *loaded) makeMaps(spec *ebpf.CollectionSpec) error {
	if m := spec.Maps["events"]; m != nil {
		m.MaxEntries = l.ring
	}
	for name, m := range spec.Maps {
		if strings.HasPrefix(name, ".") || l.maps[name] != nil {
			continue
		}
		err := withMemlock(func() (err error) {
			l.maps[name], err = ebpf.NewMap(m)
			return err
		})
		if err != nil {
			delete(l.maps, name)
			return fmt.Errorf("make eBPF map %s: %w", name, err)
		}
	}
	return nil
}

// loadPrograms loads those of a name, and leaves a spec behind that has only them, changed.
func (l *loaded) loadPrograms(spec *ebpf.CollectionSpec, names []string, lines bool) error {
	maps.DeleteFunc(spec.Programs, func(name string, _ *ebpf.ProgramSpec) bool { return !slices.Contains(names, name) })
	if err := fit(spec, l.types, l.cache, lines); err != nil {
		return err
	}
	replace := map[string]*ebpf.Map{}
	for name := range spec.Maps {
		if m := l.maps[name]; m != nil {
			replace[name] = m
		}
	}
	var c *ebpf.Collection
	err := withMemlock(func() (err error) {
		c, err = ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{Programs: ebpf.ProgramOptions{KernelTypes: l.types}, MapReplacements: replace, Cache: l.cache})
		return err
	})
	if err != nil {
		return brief(err)
	}
	defer c.Close()
	for _, name := range names {
		if l.programs[name] = c.DetachProgram(name); l.programs[name] == nil {
			delete(l.programs, name)
			return fmt.Errorf("the object has no program %s", name)
		}
	}
	return nil
}

func (l *loaded) attach(h *hook) error {
	names := l.names(h)
	if h.how == toFentry || h.how == toFexit {
		slices.Reverse(names) // a trampoline calls first what came last
	}
	for _, name := range names {
		a, err := l.attachProgram(h, l.programs[name])
		if err != nil {
			return errors.Join(fmt.Errorf("attach %s to %s: %w", name, h.to, err), l.detach(h))
		}
		l.links[h.program] = append(l.links[h.program], a)
	}
	return nil
}

func (l *loaded) attachProgram(h *hook, p *ebpf.Program) (link.Link, error) {
	switch h.how {
	case toSysEnter, toSysExit:
		return l.attachCalls(h, p)
	case toRawTracepoint:
		return link.AttachRawTracepoint(link.RawTracepointOptions{Name: h.to, Program: p})
	case toKprobe:
		return link.Kprobe(h.to, p, nil)
	case toKretprobe:
		return link.Kretprobe(h.to, p, nil)
	}
	return link.AttachTracing(link.TracingOptions{Program: p})
}

func (l *loaded) detach(h *hook) error {
	var err error
	for _, a := range l.links[h.program] {
		err = errors.Join(err, a.Close())
	}
	delete(l.links, h.program)
	if h.how == toFentry || h.how == toFexit { // before 5.13 one can be attached once only
		for _, name := range l.names(h) {
			if p := l.programs[name]; p != nil {
				err = errors.Join(err, p.Close())
				delete(l.programs, name)
			}
		}
	}
	return err
}

// sees are the kinds of events that the attached programs make.
func (l *loaded) sees() monitor.Kinds {
	var kinds monitor.Kinds
	for h := range l.hooks() {
		if l.links[h.program] != nil && !h.helper {
			kinds |= h.kinds | monitor.KindsOf(h.counted)
		}
	}
	return kinds &^ monitor.KindsOf(0)
}

// misses are the times that the kernel did not run a hook's program: kernels before 5.12 do not count them. A second program's are
// not told: what it takes is counted as taken.
func (l *loaded) misses() map[monitor.Kind]uint64 {
	n := map[monitor.Kind]uint64{}
	for h := range l.hooks() {
		if p := l.programs[h.program]; p != nil && h.counted != 0 {
			if st, err := p.Stats(); err == nil {
				n[h.counted] += st.RecursionMisses
			}
		}
	}
	return n
}

func (l *loaded) close() error {
	var err error
	for h := range l.hooks() {
		err = errors.Join(err, l.detach(h))
	}
	for _, p := range l.programs {
		err = errors.Join(err, p.Close())
	}
	for _, m := range l.maps {
		err = errors.Join(err, m.Close())
	}
	return err
}
