package monitor

import (
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/policy"
)

// Filter is what settings say, as it is compared with events, for sources that cannot leave out events in the kernel. It does not change.
type Filter struct {
	Settings    Settings
	Kinds       Kinds // without those that are excluded
	users       map[uint32]bool
	executables map[executable]bool // with its children
	parents     map[string]bool     // paths of the executables whose children are left out too
	places      map[string]place
}

// executable is the identity of a program.
type executable struct{ device, inode uint64 }

// place is what is said of a directory, with its slash, or of a file.
type place uint8

const (
	excludedPlace place = 1 << iota
	systemPlace         // seen even while monitoring is reduced
)

// NewFilter prepares settings. An executable that is not there, or that cannot be looked at, is nobody's, and is left out: to see too much is better
// than to see nothing, and whether a path leads anywhere may be up to those who have rights in its folder.
func NewFilter(s Settings) (*Filter, error) {
	x := s.Exclusions
	f := &Filter{
		Settings: s, Kinds: s.Kinds,
		users: map[uint32]bool{}, executables: map[executable]bool{}, parents: map[string]bool{}, places: map[string]place{},
	}
	for _, name := range x.Kinds {
		k, err := ParseKind(name)
		if err != nil {
			return nil, err
		}
		f.Kinds &^= KindsOf(k)
	}
	for _, uid := range x.Users {
		f.users[uid] = true
	}
	for _, p := range x.Processes {
		f.exclude(p)
	}
	for _, p := range x.Paths {
		f.places[p] |= excludedPlace
	}
	for _, p := range SystemDirectories {
		f.places[p] |= systemPlace
	}
	return f, nil
}

func (f *Filter) exclude(p policy.ProcessExclusion) {
	var st unix.Stat_t
	if unix.Stat(p.Path, &st) != nil {
		return
	}
	e := executable{uint64(st.Dev), st.Ino}
	f.executables[e] = f.executables[e] || p.Children
	if p.Children {
		f.parents[p.Path] = true
	}
}

// Verdict is what becomes of an event.
type Verdict uint8

const (
	Handle  Verdict = iota
	Exclude         // an exclusion says so
	Shed            // monitoring is reduced
)

// Judge decides in the order of what it costs, as the programs of the eBPF source do.
func (f *Filter) Judge(e *Event, reduced bool) Verdict {
	if e.Process != nil && f.leavesOut(e.Process) {
		return Exclude
	}
	critical := CriticalKinds.Has(e.Kind)
	if e.File.Path == "" && e.Target.Path == "" {
		if reduced && !critical {
			return Shed
		}
		return Handle
	}
	if !reduced && len(f.Settings.Exclusions.Paths) == 0 {
		return Handle
	}
	excluded, system := f.placeOf(e)
	switch {
	case excluded:
		return Exclude
	case reduced && !critical && !system:
		return Shed
	}
	return Handle
}

// leavesOut reports whether what a process does is left out.
func (f *Filter) leavesOut(p *Process) bool {
	if f.users[p.UID] {
		return true
	}
	if len(f.executables) == 0 {
		return false
	}
	if _, ok := f.executables[executable{p.Exe.Device, p.Exe.Inode}]; ok && p.Exe.Inode != 0 {
		return true
	}
	if len(f.parents) == 0 {
		return false
	}
	for i := range p.Ancestors {
		if f.parents[p.Ancestors[i].Exe] {
			return true
		}
	}
	return false
}

// placeOf asks for both names of a file that has two: it is excluded where both are, and of the system where one is.
func (f *Filter) placeOf(e *Event) (excluded, system bool) {
	excluded = true
	for _, path := range [2]string{e.File.Path, e.Target.Path} {
		if path == "" {
			continue
		}
		p := f.lookUp(path)
		excluded = excluded && p&excludedPlace != 0
		system = system || p&systemPlace != 0
	}
	return excluded, system
}

// lookUp is what is said of a path: of itself and of the directories above it.
func (f *Filter) lookUp(path string) (p place) {
	for i := 1; i < min(len(path), policy.MaxPathBytes); {
		n := strings.IndexByte(path[i:], '/')
		if n < 0 {
			break
		}
		i += n + 1
		p |= f.places[path[:i]]
	}
	return p | f.places[path]
}
