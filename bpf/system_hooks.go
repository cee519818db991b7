package bpf

import (
	"os"
	"runtime"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/monitor"
)

var (
	moduleKinds     = monitor.KindsOf(monitor.ModuleLoad)
	bpfKinds        = monitor.KindsOf(monitor.BPFLoad)
	traceKinds      = monitor.KindsOf(monitor.Trace)
	credentialKinds = monitor.KindsOf(monitor.Credentials)
)

// systemHooks are the programs of system.c.
var systemHooks = []hook{
	{object: "system", program: "amp_module", to: "module_load", sets: anySet, kinds: moduleKinds, counted: monitor.ModuleLoad, only: takesModules},

	{object: "system", program: "amp_bpf_fentry", how: toFentry, to: "bpf_prog_kallsyms_add", sets: fentrySet, kinds: bpfKinds, counted: monitor.BPFLoad},
	{object: "system", program: "amp_bpf_kprobe", how: toKprobe, to: "bpf_prog_kallsyms_add", sets: kprobeSet, kinds: bpfKinds, counted: monitor.BPFLoad},
	{object: "system", program: "amp_bpf_call", how: toSysExit, to: "bpf", sets: tracepointSet, kinds: bpfKinds},

	{object: "system", program: "amp_attach_fentry", how: toFentry, to: "proc_ptrace_connector", sets: fentrySet, kinds: traceKinds, counted: monitor.Trace},
	{object: "system", program: "amp_attach_kprobe", how: toKprobe, to: "proc_ptrace_connector", sets: kprobeSet, kinds: traceKinds, counted: monitor.Trace},
	{object: "system", program: "amp_traceme_fentry", how: toFentry, to: "security_ptrace_traceme", sets: fentrySet, kinds: traceKinds, counted: monitor.Trace},
	{object: "system", program: "amp_traceme_kprobe", how: toKprobe, to: "security_ptrace_traceme", sets: kprobeSet, kinds: traceKinds, counted: monitor.Trace},
	{object: "system", program: "amp_ptrace_call", how: toSysExit, to: "ptrace", sets: tracepointSet, kinds: traceKinds},

	{object: "system", program: "amp_vm_write_kprobe", how: toKprobe, to: callPrefix + "process_vm_writev", sets: fentrySet | kprobeSet, kinds: traceKinds, helper: true, counted: monitor.Trace},
	{object: "system", program: "amp_vm_write_kretprobe", how: toKretprobe, to: callPrefix + "process_vm_writev", sets: fentrySet | kprobeSet, kinds: traceKinds, counted: monitor.Trace},
	{object: "system", program: "amp_vm_write_call", how: toSysExit, to: "process_vm_writev", sets: tracepointSet, kinds: traceKinds},

	{object: "system", program: "amp_credentials_fentry", how: toFentry, to: "commit_creds", sets: fentrySet, kinds: credentialKinds, counted: monitor.Credentials},
	{object: "system", program: "amp_credentials_kprobe", how: toKprobe, to: "commit_creds", sets: kprobeSet, kinds: credentialKinds, counted: monitor.Credentials},
	{object: "system", program: "amp_credentials_enter", how: toSysEnter, to: setCalls, sets: tracepointSet, kinds: credentialKinds, helper: true},
	{object: "system", program: "amp_credentials_exit", how: toSysExit, to: setCalls, sets: tracepointSet, kinds: credentialKinds},
}

// setCalls are the system calls that change who a process is.
const setCalls = "setuid setreuid setresuid setfsuid setgid setregid setresgid setfsgid"

// callPrefix is what the kernel's function of a system call begins with.
var callPrefix = map[string]string{"amd64": "__x64_sys_", "arm64": "__arm64_sys_"}[runtime.GOARCH]

// takesModules reports whether the kernel can load modules at all (CONFIG_MODULES): without that there is nothing to see, and nothing to see it with.
func takesModules(*applied) bool {
	_, err := os.Stat("/proc/modules")
	return err == nil
}

// systemBlindSpots are what no kernel shows to these programs.
var systemBlindSpots = []blindSpot{
	{anySet, monitor.BlindSpot{Kinds: traceKinds, What: fault.Text{
		EN: "Writes into another process's memory through /proc/PID/mem",
		JA: "/proc/PID/mem 経由の他プロセスのメモリへの書き込み",
	}}},
	{anySet, monitor.BlindSpot{Kinds: traceKinds, What: fault.Text{
		EN: "Writes into another process's memory by 32-bit programs (process_vm_writev)",
		JA: "32 ビットプログラムによる他プロセスのメモリへの書き込み (process_vm_writev)",
	}}},
	{tracepointSet, monitor.BlindSpot{Kinds: traceKinds | bpfKinds | credentialKinds, What: fault.Text{
		EN: "What 32-bit programs trace, load, and change of their user",
		JA: "32 ビットプログラムによるトレース、ロード、およびユーザーの変更",
	}}},
	{tracepointSet, monitor.BlindSpot{Kinds: bpfKinds, What: fault.Text{
		EN: "eBPF programs that the kernel itself loads",
		JA: "カーネル自身がロードする eBPF プログラム",
	}}},
	{tracepointSet, monitor.BlindSpot{Kinds: monitor.FileKinds | monitor.NetworkKinds | traceKinds | bpfKinds | credentialKinds, What: fault.Text{
		EN: "Where a process can be interrupted at its system calls (seen with kernel 7.2): calls of others on that CPU while it is interrupted within a program; these are not counted either",
		JA: "システムコールの入口・出口で割り込まれ得るカーネル (7.2 で確認) で、あるプロセスがプログラム内で中断されている間に同じ CPU で行われた他プロセスの呼び出し (件数にも含まれません)",
	}}},
}
