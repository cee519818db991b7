package policy

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Exclusions says which events are left out, wherever the source can decide it soonest. An event is left out if one of them fits.
type Exclusions struct {
	Paths     []string           // a directory with a slash at its end and all below it, or one file; from the root
	Processes []ProcessExclusion // by what they execute
	Users     []uint32           // by real uid
	Kinds     []string           // by kind, names of EventKinds
}

// ProcessExclusion leaves out what the processes of one executable do.
type ProcessExclusion struct {
	Path     string // of the executable, from the root; its identity is its device and inode
	Children bool   // what they start is left out too, whatever it executes
}

// EventKinds are the names of event kinds, as internal/monitor has them.
var EventKinds = []string{
	"exec", "exit", "create", "write", "rename", "link", "delete", "attributes", "map", "copy", "open", "close", "listen",
	"module", "bpf", "trace", "credentials",
}

// Bounds of one set of exclusions: what the kernel's side holds.
const (
	MaxPathBytes = 255 // of one path: the longest key of BPF_MAP_TYPE_LPM_TRIE is 256 bytes, one is for its end
	MaxPaths     = 1024
	MaxProcesses = 1024
	MaxUsers     = 1024
)

// Class is what an exclusion goes by.
type Class string

const (
	ByPath    Class = "path"
	ByProcess Class = "process"
	ByUser    Class = "user"
	ByKind    Class = "kind"
)

// Classes are all of them.
var Classes = []Class{ByPath, ByProcess, ByUser, ByKind}

func classNames() []string {
	names := make([]string, len(Classes))
	for i, c := range Classes {
		names[i] = string(c)
	}
	return names
}

// Exclusion is one of a set, as the command line and the files have it.
type Exclusion struct {
	Class    Class  `json:"class"`
	Value    string `json:"value"` // the path, the uid in digits, or the kind
	Children bool   `json:"children,omitempty"`
}

// String is the exclusion in words.
func (x Exclusion) String() string {
	if x.Children {
		return string(x.Class) + " " + x.Value + " with what it starts"
	}
	return string(x.Class) + " " + x.Value
}

// NewExclusion checks one exclusion. Errors are an ExclusionError.
func NewExclusion(class Class, value string, children bool) (Exclusion, error) {
	x := Exclusion{class, value, children}
	if children && class != ByProcess {
		return Exclusion{}, wrong(ExclusionNoChildren, class, ByProcess)
	}
	switch class {
	case ByPath:
		return x, checkPath(strings.TrimSuffix(value, "/"), value)
	case ByProcess:
		return x, checkPath(value, value)
	case ByUser:
		uid, err := strconv.ParseUint(value, 10, 32)
		if err != nil || uid == 1<<32-1 { // (uid_t)-1 is nobody's, chown(2)
			return Exclusion{}, wrong(ExclusionNoUID, value)
		}
		x.Value = strconv.FormatUint(uid, 10)
		return x, nil
	case ByKind:
		if !slices.Contains(EventKinds, value) {
			return Exclusion{}, wrong(ExclusionNoKind, value, strings.Join(EventKinds, ", "))
		}
		return x, nil
	}
	return Exclusion{}, wrong(ExclusionNoClass, class, strings.Join(classNames(), ", "))
}

// checkPath refuses what would never fit an event, and the root, which would fit all of them.
func checkPath(p, value string) error {
	switch {
	case !strings.HasPrefix(p, "/") || p == "/":
		return wrong(ExclusionNotFromRoot, value)
	case len(value) > MaxPathBytes:
		return wrong(ExclusionTooLong, value, len(value), MaxPathBytes)
	case path.Clean(p) != p:
		return wrong(ExclusionNotClean, value)
	case !utf8.ValidString(p) || strings.ContainsFunc(p, unicode.IsControl):
		return wrong(ExclusionNotText, value)
	}
	return nil
}

// All gives the exclusions of the set, by class.
func (x *Exclusions) All() []Exclusion {
	all := make([]Exclusion, 0, len(x.Paths)+len(x.Processes)+len(x.Users)+len(x.Kinds))
	for _, p := range x.Paths {
		all = append(all, Exclusion{Class: ByPath, Value: p})
	}
	for _, p := range x.Processes {
		all = append(all, Exclusion{ByProcess, p.Path, p.Children})
	}
	for _, uid := range x.Users {
		all = append(all, Exclusion{Class: ByUser, Value: strconv.FormatUint(uint64(uid), 10)})
	}
	for _, k := range x.Kinds {
		all = append(all, Exclusion{Class: ByKind, Value: k})
	}
	return all
}

// Has reports whether the set has this exclusion, whatever it says of children.
func (x *Exclusions) Has(e Exclusion) bool {
	return slices.ContainsFunc(x.All(), func(o Exclusion) bool { return o.Class == e.Class && o.Value == e.Value })
}

// Add returns the set with e in it. One that differs in its children only is replaced.
func (x Exclusions) Add(e Exclusion) (Exclusions, error) {
	e, err := NewExclusion(e.Class, e.Value, e.Children)
	if err != nil {
		return x, err
	}
	full := func(n, limit int) error {
		if n >= limit {
			return wrong(ExclusionsFull, limit, e.Class)
		}
		return nil
	}
	x = x.Remove(e)
	switch e.Class {
	case ByPath:
		err = full(len(x.Paths), MaxPaths)
		x.Paths = append(x.Paths, e.Value)
	case ByProcess:
		err = full(len(x.Processes), MaxProcesses)
		x.Processes = append(x.Processes, ProcessExclusion{e.Value, e.Children})
	case ByUser:
		err = full(len(x.Users), MaxUsers)
		uid, _ := strconv.ParseUint(e.Value, 10, 32) // checked above
		x.Users = append(x.Users, uint32(uid))
	case ByKind:
		x.Kinds = append(x.Kinds, e.Value)
	}
	return x, err
}

// Remove returns the set without e.
func (x Exclusions) Remove(e Exclusion) Exclusions {
	return Exclusions{
		Paths: without(x.Paths, func(p string) bool { return e.Class == ByPath && p == e.Value }),
		Processes: without(x.Processes, func(p ProcessExclusion) bool {
			return e.Class == ByProcess && p.Path == e.Value
		}),
		Users: without(x.Users, func(uid uint32) bool {
			return e.Class == ByUser && strconv.FormatUint(uint64(uid), 10) == e.Value
		}),
		Kinds: without(x.Kinds, func(k string) bool { return e.Class == ByKind && k == e.Value }),
	}
}

// without is a copy of s without those that are out.
func without[T any](s []T, out func(T) bool) []T { return slices.DeleteFunc(slices.Clone(s), out) }

// Plus is both sets. Each exclusion that both have is there once; children count if one of them says so. The bounds are those of
// each set by itself: a source takes the sum of two.
func (x Exclusions) Plus(y Exclusions) Exclusions {
	sum := x.Remove(Exclusion{}) // a copy
	for _, p := range y.Paths {
		if !slices.Contains(sum.Paths, p) {
			sum.Paths = append(sum.Paths, p)
		}
	}
	for _, p := range y.Processes {
		if i := slices.IndexFunc(sum.Processes, func(q ProcessExclusion) bool { return q.Path == p.Path }); i >= 0 {
			sum.Processes[i].Children = sum.Processes[i].Children || p.Children
		} else {
			sum.Processes = append(sum.Processes, p)
		}
	}
	for _, uid := range y.Users {
		if !slices.Contains(sum.Users, uid) {
			sum.Users = append(sum.Users, uid)
		}
	}
	for _, k := range y.Kinds {
		if !slices.Contains(sum.Kinds, k) {
			sum.Kinds = append(sum.Kinds, k)
		}
	}
	return sum
}

// Equal compares two sets, in order.
func (x Exclusions) Equal(y Exclusions) bool { return slices.Equal(x.All(), y.All()) }
