package bpf

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/policy"
)

// applied are settings as the kernel's side has them.
type applied struct {
	kinds       monitor.Kinds
	reduced     bool
	users       map[uint32]uint32
	executables map[executable]uint32
	places      map[prefix]uint32
	excluded    bool // a place is excluded
}

// executable is struct amp_executable, headers/filter.h.
type executable struct {
	Inode  uint64
	Device uint32 // s_dev
	_      uint32
}

// enum amp_exclusion and enum amp_place.
const (
	withChildren = 1

	placeExcluded = 1
	placeSystem   = 2
)

// enum amp_check.
const (
	checkUsers = 1 << iota
	checkProcesses
	checkChildren
	checkPaths
)

// prefix is struct amp_prefix.
type prefix struct {
	Bits uint32
	Path [policy.MaxPathBytes + 1]byte
}

// apply turns settings into what the kernel's side compares. An executable that is not there, or that cannot be looked at, is nobody's, and is left
// out, as by monitor.NewFilter.
func apply(s monitor.Settings) (*applied, error) {
	a := &applied{
		kinds: s.Kinds, reduced: s.Reduced,
		users: map[uint32]uint32{}, executables: map[executable]uint32{}, places: map[prefix]uint32{},
	}
	x := s.Exclusions
	for _, name := range x.Kinds {
		k, err := monitor.ParseKind(name)
		if err != nil {
			return nil, err
		}
		a.kinds &^= monitor.KindsOf(k)
	}
	for _, uid := range x.Users {
		a.users[uid] = 1
	}
	for _, p := range x.Processes {
		e, err := executableAt(p.Path)
		if err != nil {
			continue
		}
		if p.Children {
			a.executables[e] |= withChildren
		} else {
			a.executables[e] |= 0
		}
	}
	a.excluded = len(x.Paths) > 0
	return a, a.setPlaces(x.Paths)
}

// setPlaces makes the entries of the map places: in each what its shorter prefixes say too.
func (a *applied) setPlaces(excluded []string) error {
	says := map[string]uint32{}
	for _, p := range excluded {
		says[key(p)] |= placeExcluded
	}
	for _, p := range monitor.SystemDirectories {
		says[key(p)] |= placeSystem
	}
	for p, say := range says {
		for q, more := range says {
			if strings.HasPrefix(p, q) {
				say |= more
			}
		}
		var k prefix
		if len(p) > len(k.Path) {
			return fmt.Errorf("path %q has %d bytes, expected at most %d", p, len(p), policy.MaxPathBytes)
		}
		k.Bits = uint32(8 * copy(k.Path[:], p))
		a.places[k] = say
	}
	return nil
}

// key is what a path begins with that is excluded by p: a directory stands for all below it, a file for itself, with the end that C gives strings.
func key(p string) string {
	if strings.HasSuffix(p, "/") {
		return p
	}
	return p + "\x00"
}

func (a *applied) checks() (c uint32) {
	if len(a.users) > 0 {
		c |= checkUsers
	}
	if len(a.executables) > 0 {
		c |= checkProcesses
	}
	if a.heirs() {
		c |= checkChildren
	}
	if a.excluded {
		c |= checkPaths
	}
	return c
}

// heirs reports whether processes are excluded since they are children of others.
func (a *applied) heirs() bool {
	return slices.ContainsFunc(slices.Collect(maps.Values(a.executables)), func(how uint32) bool { return how&withChildren != 0 })
}

// settings is struct amp_settings, headers/events.h.
type settings struct {
	Kinds, Checks, Reduced, Critical uint32
	WakeupBytes, NearlyFull          uint64
}

func (a *applied) settings(ring uint32) *settings {
	s := &settings{
		Kinds: uint32(a.kinds), Checks: a.checks(), Critical: uint32(monitor.CriticalKinds),
		WakeupBytes: uint64(ring / wakeupPart), NearlyFull: uint64(ring) / 8 * 7,
	}
	if a.reduced {
		s.Reduced = 1
	}
	return s
}

// write makes the maps say what a says. The lists come before the settings that make programs look at them.
func (l *loaded) write(a *applied) error {
	err := errors.Join(
		replace(l.maps["excluded_users"], a.users),
		replace(l.maps["excluded_executables"], a.executables),
		replace(l.maps["places"], a.places),
	)
	if a.heirs() {
		found, e := heirsOf("/proc", a.executables)
		err = errors.Join(err, e, add(l.maps["heirs"], found))
	} else {
		err = errors.Join(err, replace(l.maps["heirs"], map[uint32]uint32{}))
	}
	if err != nil {
		return fmt.Errorf("write exclusions: %w", err)
	}
	if err := l.maps["settings"].Put(uint32(0), a.settings(l.ring)); err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	return nil
}

// replace makes a map hold the entries and no others.
func replace[K comparable](m *ebpf.Map, want map[K]uint32) error {
	var stale []K
	var k K
	var v uint32
	for it := m.Iterate(); it.Next(&k, &v); {
		if _, ok := want[k]; !ok {
			stale = append(stale, k)
		}
	}
	for _, k := range stale {
		if err := m.Delete(k); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return err
		}
	}
	return add(m, want)
}

func add[K comparable](m *ebpf.Map, want map[K]uint32) error {
	for k, v := range want {
		if err := m.Put(k, v); err != nil {
			return err
		}
	}
	return nil
}
