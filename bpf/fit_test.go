package bpf

import (
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// eachProgram calls f with all programs of all objects, anew.
func eachProgram(t *testing.T, f func(name string, p *ebpf.ProgramSpec)) {
	t.Helper()
	for _, o := range objects {
		spec, err := o.load()
		if err != nil {
			t.Fatal(err)
		}
		for name, p := range spec.Programs {
			f(name, p)
		}
	}
}

// What is left of a program without callbacks has all functions that it calls, and no pointer to one.
func TestWithoutCallbacks(t *testing.T) {
	taken := 0
	eachProgram(t, func(name string, p *ebpf.ProgramSpec) {
		before := functions(p.Instructions)
		left := withoutCallbacks(p.Instructions)
		after := functions(left)
		taken += len(before) - len(after)
		for i := range left {
			switch ins := &left[i]; {
			case ins.IsLoadOfFunctionPointer():
				t.Errorf("%s: instruction %d still points to %s", name, i, ins.Reference())
			case ins.IsFunctionCall() && !slices.Contains(after, ins.Reference()):
				t.Errorf("%s: instruction %d calls %s, which is not there (there are %q)", name, i, ins.Reference(), after)
			}
		}
		if left.Name() != name {
			t.Errorf("%s begins with %s", name, left.Name())
		}
	})
	if taken == 0 {
		t.Error("no program has a callback: what is withoutCallbacks for?")
	}
}

// functions are the names of a program's, its own first.
func functions(program asm.Instructions) []string {
	var names []string
	for i := range program {
		if btf.FuncMetadata(&program[i]) != nil {
			names = append(names, program[i].Symbol())
		}
	}
	return names
}

// A program without casts asks nothing of the kernel's functions, and has all that it had else: a jump that was right still is.
func TestWithoutCasts(t *testing.T) {
	taken := 0
	eachProgram(t, func(name string, p *ebpf.ProgramSpec) {
		calls, size, had := len(kernelCalls(p.Instructions)), p.Instructions.Size(), functions(p.Instructions)
		withoutCasts(p.Instructions)
		if left := kernelCalls(p.Instructions); len(left) > 0 {
			t.Errorf("%s still calls %q", name, left)
		}
		if got := p.Instructions.Size(); got != size {
			t.Errorf("%s has %d bytes, and had %d", name, got, size)
		}
		if got := functions(p.Instructions); p.Instructions.Name() != name || !slices.Equal(got, had) {
			t.Errorf("%s has the functions %q, and had %q", name, got, had)
		}
		taken += calls
	})
	if taken == 0 {
		t.Error("no program casts: what is withoutCasts for?")
	}
}

// kernelCalls are the names of the kernel's own functions that a program calls.
func kernelCalls(program asm.Instructions) []string {
	var names []string
	for i := range program {
		if program[i].IsKfuncCall() {
			names = append(names, program[i].Reference())
		}
	}
	return names
}

// Where a member of an inode is not, or lies behind its front, it is read by itself.
func TestInodeFront(t *testing.T) {
	long := &btf.Int{Name: "long", Size: 8}
	at := func(name string, bytes uint32, of btf.Type) btf.Member {
		return btf.Member{Name: name, Type: of, Offset: btf.Bits(bytes * 8)}
	}
	half := &btf.Int{Name: "short", Size: 2}
	id := &btf.Struct{Name: "kuid_t", Size: 4}
	timespec := &btf.Struct{Name: "timespec64", Size: 16}
	base := []btf.Member{at("i_mode", 0, half), at("i_uid", 4, id), at("i_gid", 8, id), at("i_sb", 40, &btf.Pointer{Target: &btf.Void{}}), at("i_ino", 64, long), at("i_size", 80, long)}
	with := func(more ...btf.Member) []btf.Member { return append(slices.Clone(base), more...) }
	for _, c := range []struct {
		name    string
		members []btf.Member
		want    bool
	}{
		{"6.1", with(at("i_ctime", 120, timespec), at("i_private", 600, long)), true},
		{"6.6", with(at("__i_ctime", 120, timespec)), true},
		{"6.11", with(at("i_ctime_sec", 104, long), at("i_ctime_nsec", 124, &btf.Int{Size: 4})), true},
		{"one that ends behind the front", with(at("i_ctime", 124, timespec)), false},
		{"one behind it", append(base[1:len(base):len(base)], at("i_mode", 200, half), at("i_ctime", 120, timespec)), false},
		{"no time", base, false},
		{"no size", append(base[:5:5], at("i_ctime", 120, timespec)), false},
		{"in random order", []btf.Member{{Type: &btf.Struct{Members: with(at("i_ctime", 120, timespec))}}}, false},
		{"one of no size", with(at("i_ctime", 120, &btf.Void{}), at("i_ctime", 0, &btf.Fwd{Name: "timespec64"})), false},
		{"none", nil, false},
	} {
		if got := inFront(c.members); got != c.want {
			t.Errorf("%s: the front holds what is read: %v, expected %v", c.name, got, c.want)
		}
	}
}
