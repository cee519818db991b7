package layout

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// assumed are structures that no header package has, whose front is declared here.
var assumed = []string{"mount"}

// Prove asks the running kernel whether structures that were assumed are as they were, and returns the types to load programs with: all of
// them, or, with the reason, those without what does not hold or could not be tried. Without struct mount
// paths end at the root of their file system, not at that of the tree of mounts: a file on /home has the path that it has on that disk.
//
// It needs the right to load programs (CAP_BPF, CAP_PERFMON) and to mount (CAP_SYS_ADMIN), and 5.10 for running a program at will.
func Prove(types *btf.Spec, assumed []string) (*btf.Spec, error) {
	if !slices.Contains(assumed, "mount") {
		return types, nil
	}
	err := proveMount(types)
	if err == nil {
		return types, nil
	}
	rest, e := without(types, assumed)
	if e != nil {
		return nil, errors.Join(err, e)
	}
	return rest, fmt.Errorf("struct mount is not used: %w", err)
}

// without copies types but for some structures.
func without(types *btf.Spec, names []string) (*btf.Spec, error) {
	types = types.Copy() // of which those that are left out get another name
	var all []btf.Type
	for t, err := range types.All() {
		if err != nil {
			return nil, err
		}
		if s, ok := t.(*btf.Struct); ok && slices.Contains(names, s.Name) {
			s.Name = "not_" + s.Name
		}
		all = append(all, t)
	}
	b, err := btf.NewBuilder(all, nil)
	if err != nil {
		return nil, err
	}
	return b.Spec()
}

// canary is what a program saw of the folder that the thread stood in, the root of a mount.
type canary struct {
	Root, Dentry       uint64 // of the mount; of the folder
	Parents, Pointed   uint64 // super block of the mount that it is on; of the folder that it lies over
	MountpointNameHead [32]byte
}

// proveMount goes to a folder that lies over another by a mount of ours, and has a program follow the way that headers/path.h goes: from the
// mount to the name of what it lies over, and to the mount that this is on.
func proveMount(types *btf.Spec) error {
	name := "amp-canary-" + rand.Text()[:16]
	program, err := mountProgram(types)
	if err != nil {
		return err
	}
	var saw canary
	err = onOwnMount(name, func() (err error) {
		saw, err = run(program)
		return err
	})
	if err != nil {
		return err
	}
	said, _, _ := bytes.Cut(saw.MountpointNameHead[:], []byte{0})
	switch { // addresses of the kernel and what is there are told to nobody
	case string(said) != name:
		return errors.New("the name of the folder below a mount of ours was not found")
	case saw.Root == 0 || saw.Root != saw.Dentry:
		return errors.New("the root of a mount of ours was not found")
	case saw.Parents == 0 || saw.Parents != saw.Pointed:
		return errors.New("the mount below a mount of ours was not found")
	}
	return nil
}

// onOwnMount runs do where the working folder is the root of a mount over a folder of that name, which only this thread sees. The
// thread ends with it.
func onOwnMount(name string, do func() error) error {
	const room = "/tmp" // a file system of our own goes over it: others may be read-only for us
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: no other goroutine is to see what it sees
		source, over := filepath.Join(room, "source"), filepath.Join(room, name)
		for _, step := range []func() error{
			func() error { return unix.Unshare(unix.CLONE_NEWNS) },
			func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") },
			func() error {
				return unix.Mount("tmpfs", room, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "size=64k,mode=700")
			},
			func() error { return errors.Join(os.Mkdir(source, 0o700), os.Mkdir(over, 0o700)) },
			func() error { return unix.Mount(source, over, "", unix.MS_BIND, "") },
			func() error { return unix.Chdir(over) },
		} {
			if err := step(); err != nil {
				done <- fmt.Errorf("make a mount to try it with: %w", err)
				return
			}
		}
		done <- do()
	}()
	return <-done
}

// run runs a program once, in the calling thread, and gives what it left in its map.
func run(program asm.Instructions) (saw canary, err error) {
	size := uint32(binary.Size(saw))
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "amp_canary", Type: ebpf.Array, KeySize: 4, ValueSize: size, MaxEntries: 1})
	if err != nil {
		return saw, err
	}
	defer m.Close()
	if err := program.AssociateMap("canary", m); err != nil {
		return saw, err
	}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "amp_canary", Type: ebpf.RawTracepoint, License: "Dual BSD/GPL", Instructions: program})
	if err != nil {
		return saw, err
	}
	defer p.Close()
	if _, err := p.Run(&ebpf.RunOptions{}); err != nil {
		return saw, err
	}
	return saw, m.Lookup(uint32(0), &saw)
}

// Places on the program's stack, from its end.
const (
	atPointer = -8
	atKey     = -16
	atCanary  = -96
)

// mountProgram makes the program by the types. R6 is where it is, R7 the mount, R8 the folder below it.
func mountProgram(types *btf.Spec) (asm.Instructions, error) {
	o := offsets{types: types}
	taskFS := o.of("task_struct", "fs")
	pwdMount, pwdDentry := o.of("fs_struct", "pwd", "mnt"), o.of("fs_struct", "pwd", "dentry")
	mountRoot := o.of("vfsmount", "mnt_root")
	inside := o.of("mount", "mnt")
	point, parent := o.of("mount", "mnt_mountpoint"), o.of("mount", "mnt_parent")
	parentSB, pointSB := o.of("mount", "mnt", "mnt_sb"), o.of("dentry", "d_sb")
	name := o.of("dentry", "d_name", "name")
	if o.err != nil {
		return nil, o.err
	}
	saved := func(slot int16) asm.Instruction { return asm.StoreMem(asm.RFP, atCanary+8*slot, asm.R6, asm.DWord) }
	program := asm.Instructions{asm.FnGetCurrentTask.Call(), asm.Mov.Reg(asm.R6, asm.R0)}
	program = append(program, hop(taskFS)...)
	program = append(program, asm.Mov.Reg(asm.R8, asm.R6))
	program = append(program, hop(pwdDentry)...)
	program = append(program, saved(1), asm.Mov.Reg(asm.R6, asm.R8))
	program = append(program, hop(pwdMount)...)
	program = append(program, asm.Mov.Reg(asm.R7, asm.R6))
	program = append(program, hop(mountRoot)...)
	program = append(program, saved(0), asm.Sub.Imm(asm.R7, inside), asm.Mov.Reg(asm.R6, asm.R7))
	program = append(program, hop(parent)...)
	program = append(program, hop(parentSB)...)
	program = append(program, saved(2), asm.Mov.Reg(asm.R6, asm.R7))
	program = append(program, hop(point)...)
	program = append(program, asm.Mov.Reg(asm.R8, asm.R6))
	program = append(program, hop(pointSB)...)
	program = append(program, saved(3), asm.Mov.Reg(asm.R6, asm.R8))
	program = append(program, hop(name)...)
	return append(program,
		asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, atCanary+32), asm.Mov.Imm(asm.R2, 32), asm.Mov.Reg(asm.R3, asm.R6),
		asm.FnProbeReadKernel.Call(),
		asm.StoreImm(asm.RFP, atKey, 0, asm.Word),
		asm.LoadMapPtr(asm.R1, 0).WithReference("canary"),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, atKey),
		asm.Mov.Reg(asm.R3, asm.RFP), asm.Add.Imm(asm.R3, atCanary),
		asm.Mov.Imm(asm.R4, 0),
		asm.FnMapUpdateElem.Call(),
		asm.Mov.Imm(asm.R0, 0), asm.Return()), nil
}

// hop reads the pointer so many bytes behind R6 into R6; 0 if there is no memory.
func hop(offset int32) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, atPointer), asm.Mov.Imm(asm.R2, 8),
		asm.Mov.Reg(asm.R3, asm.R6), asm.Add.Imm(asm.R3, offset),
		asm.FnProbeReadKernel.Call(),
		asm.LoadMem(asm.R6, asm.RFP, atPointer, asm.DWord),
	}
}

// offsets finds places in structures; the first error stays.
type offsets struct {
	types *btf.Spec
	err   error
}

// of gives the bytes from the beginning of a structure to a member of members.
func (o *offsets) of(structure string, path ...string) int32 {
	var t *btf.Struct
	if err := o.types.TypeByName(structure, &t); err != nil {
		o.err = errors.Join(o.err, fmt.Errorf("struct %s: %w", structure, err))
		return 0
	}
	var in btf.Type = t
	var at btf.Bits
	for _, name := range path {
		m, ok := memberOf(in, name, 0)
		if !ok {
			o.err = errors.Join(o.err, fmt.Errorf("struct %s has no %s", structure, name))
			return 0
		}
		at += m.Offset
		in = m.Type
	}
	return int32(at.Bytes())
}

// memberOf finds a member by name, also within members that have none.
func memberOf(t btf.Type, name string, depth int) (btf.Member, bool) {
	var members []btf.Member
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Struct:
		members = t.Members
	case *btf.Union:
		members = t.Members
	}
	for _, m := range members {
		if m.Name == name {
			return m, true
		}
		if m.Name == "" && depth < 8 {
			if found, ok := memberOf(m.Type, name, depth+1); ok {
				found.Offset += m.Offset
				return found, true
			}
		}
	}
	return btf.Member{}, false
}
