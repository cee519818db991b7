package bpf

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/monitor/actions"
)

func systemActions() map[string]actions.Action {
	return map[string]actions.Action{
		"attach":   func(r *actions.Report) error { return attach(r, unix.PTRACE_ATTACH, unix.PtraceAttach) },
		"seize":    func(r *actions.Report) error { return attach(r, unix.PTRACE_SEIZE, unix.PtraceSeize) },
		"traceme":  traceme,
		"vm-write": vmWrite,
		"setuid":   setuid,
		"seteuid":  seteuid,
		"load":     loadProgram,
		"module":   loadModule,
		"exit":     func(*actions.Report) error { return nil },
	}
}

// idle starts a process that does nothing until it is killed.
func idle(attr *syscall.SysProcAttr) (*exec.Cmd, func(), error) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(actions.Environment(""), childEnv+"=wait")
	cmd.SysProcAttr = attr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	return cmd, func() { in.Close(); cmd.Process.Kill(); cmd.Wait() }, cmd.Start()
}

func attach(r *actions.Report, request uint32, by func(int) error) error {
	runtime.LockOSThread()
	cmd, end, err := idle(nil)
	if err != nil {
		return err
	}
	defer end()
	pid := cmd.Process.Pid
	if err := by(pid); err != nil {
		return err
	}
	if by(1<<22-1) == nil {
		return errors.New("attached to a process that is not there")
	}
	r.Other = fmt.Sprint(pid)
	r.Events = []monitor.Event{{Kind: monitor.Trace, Subtype: request, OtherPID: uint32(pid)}}
	return nil
}

// traceme has a child that asks to be traced.
func traceme(r *actions.Report) error {
	runtime.LockOSThread()
	cmd, end, err := idle(&syscall.SysProcAttr{Ptrace: true})
	if err != nil {
		return err
	}
	defer end()
	pid := cmd.Process.Pid
	r.Other = fmt.Sprint(pid)
	r.Events = []monitor.Event{{Kind: monitor.Trace, Subtype: unix.PTRACE_TRACEME, OtherPID: uint32(pid)}}
	return nil
}

// vmWrite writes into its own memory, as if it were another's.
func vmWrite(r *actions.Report) error {
	from, to := []byte("new"), []byte("old")
	local := []unix.Iovec{{Base: &from[0]}}
	local[0].SetLen(3)
	remote := []unix.RemoteIovec{{Base: uintptr(unsafe.Pointer(&to[0])), Len: 3}}
	if _, err := unix.ProcessVMWritev(os.Getpid(), local, remote, 0); err != nil {
		return err
	}
	if string(to) != "new" {
		return fmt.Errorf("wrote %q", to)
	}
	if _, err := unix.ProcessVMWritev(os.Getpid(), local, []unix.RemoteIovec{{Base: 1, Len: 3}}, 0); err == nil {
		return errors.New("wrote to where nothing is")
	}
	r.Events = []monitor.Event{{Kind: monitor.Trace, Subtype: unix.PTRACE_POKEDATA, OtherPID: uint32(os.Getpid())}}
	return nil
}

// setuid becomes nobody, with all threads.
func setuid(r *actions.Report) error {
	if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
		return err
	}
	r.Events = []monitor.Event{{Kind: monitor.Credentials}, {Kind: monitor.Credentials}}
	return nil
}

const changesBackAndForth = 50

// seteuid becomes nobody and root again, many times.
func seteuid(r *actions.Report) error {
	for range changesBackAndForth {
		if err := errors.Join(syscall.Setreuid(-1, nobody), syscall.Setreuid(-1, 0)); err != nil {
			return err
		}
	}
	r.Events = []monitor.Event{{Kind: monitor.Credentials}, {Kind: monitor.Credentials, OldEUID: nobody}}
	return nil
}

const loadedName = "amp_test_loaded"

func loadProgram(r *actions.Report) error {
	if err := rlimit.RemoveMemlock(); err != nil { // kernels before 5.11
		return err
	}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: loadedName, Type: ebpf.SocketFilter, License: "Dual BSD/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		return err
	}
	r.Events = []monitor.Event{{Kind: monitor.BPFLoad, Name: loadedName, Subtype: uint32(ebpf.SocketFilter)}}
	return p.Close()
}

// loadModule loads the module that the environment names.
func loadModule(r *actions.Report) error {
	path := os.Getenv("AMP_TEST_MODULE")
	if path == "" {
		r.Skip = "needs the path of a kernel module that may be loaded, in AMP_TEST_MODULE"
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil {
		return err
	}
	name := strings.ReplaceAll(strings.TrimSuffix(filepath.Base(path), ".ko"), "-", "_")
	r.Events = []monitor.Event{{Kind: monitor.ModuleLoad, Name: name}}
	return unix.DeleteModule(name, 0)
}
