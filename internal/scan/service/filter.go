package service

import (
	"strings"

	"github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/sys/unix"
)

// needed are the system calls of the Go runtime, of glibc, and of a library that reads descriptors and unpacks into files. Those that an
// architecture does not have are left out there.
const needed = `
	mmap mprotect clone tgkill kill prlimit64 prctl
	brk madvise mincore mremap munmap mlock munlock membarrier
	futex get_robust_list set_robust_list rseq set_tid_address sched_yield sched_getaffinity sched_getparam sched_getscheduler
	exit exit_group rt_sigaction rt_sigpending rt_sigprocmask rt_sigreturn rt_sigtimedwait sigaltstack restart_syscall
	clock_getres clock_gettime clock_nanosleep gettimeofday nanosleep time times getitimer setitimer
	getcpu getpid getppid gettid getuid geteuid getgid getegid getgroups getpgrp getrlimit getrusage getrandom uname sysinfo
	read readv pread64 preadv write writev pwrite64 pwritev lseek _llseek close dup dup2 dup3 fcntl flock fadvise64 readahead
	open openat creat access faccessat faccessat2 stat lstat fstat newfstatat fstatat statx fstatfs statfs getdents getdents64 getcwd
	readlink readlinkat mkdir mkdirat rename renameat renameat2 rmdir unlink unlinkat ftruncate truncate fallocate fsync fdatasync
	chmod fchmod fchmodat umask utimensat copy_file_range sendfile
	epoll_create1 epoll_ctl epoll_pwait epoll_wait eventfd2 pipe pipe2 poll ppoll pselect6 select
	recvmsg recvfrom sendmsg sendto getsockopt shutdown`

// fatal are those that nothing in the service calls unless somebody has taken it over. The kernel ends it, and the daemon sees by which
// signal (SIGSYS). All others, a new version of glibc may know more, are refused with EPERM.
const fatal = `
	execve execveat fork vfork
	socket socketpair connect bind listen accept accept4
	ptrace process_vm_readv process_vm_writev pidfd_getfd kcmp
	bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register
	mount umount2 pivot_root chroot move_mount open_tree fsopen fsmount fsconfig fspick mount_setattr mknod mknodat swapon swapoff
	unshare setns init_module finit_module delete_module kexec_load kexec_file_load reboot iopl ioperm
	setuid setgid setreuid setregid setresuid setresgid setgroups setfsuid setfsgid capset
	keyctl add_key request_key open_by_handle_at name_to_handle_at`

// filterSystemCalls puts all threads, also those to come, behind seccomp(2) filters. Where several disagree, the kernel goes by the
// strictest.
func filterSystemCalls() error {
	policies, err := systemCalls(uint64(unix.Getpid()))
	if err != nil {
		return err
	}
	for _, policy := range policies {
		if err := seccomp.LoadFilter(seccomp.Filter{Flag: seccomp.FilterFlagTSync, Policy: policy}); err != nil {
			return err
		}
	}
	return nil
}

// systemCalls are the policies for a process of the given number, in the order in which they are put into force: after the last, no more
// can be.
func systemCalls(self uint64) ([]seccomp.Policy, error) {
	here, err := arch.GetInfo("")
	if err != nil {
		return nil, err
	}
	known := func(list string) (names []string) {
		for _, name := range strings.Fields(list) {
			if _, ok := here.SyscallNames[name]; ok {
				names = append(names, name)
			}
		}
		return names
	}
	return append(conditional(self), seccomp.Policy{
		DefaultAction: seccomp.ActionErrno, // EPERM
		Syscalls: []seccomp.SyscallGroup{
			{Action: seccomp.ActionAllow, Names: known(needed)},
			// glibc falls back to clone(2), whose flags can be looked at, where this one does not exist.
			{Action: seccomp.ActionErrno | seccomp.Action(unix.ENOSYS), Names: known("clone3")},
			{Action: seccomp.ActionKillProcess, Names: known(fatal)},
		},
	}), nil
}

// conditional are the policies on system calls that are needed with certain arguments only, one for each: where arguments do not fit, the
// assembler (1.6.0) compares with the names that follow an argument, and not the number of the call any more.
func conditional(self uint64) []seccomp.Policy {
	const first, third, fourth = 0, 2, 3
	type conditions = seccomp.ArgumentConditions
	has := func(argument uint32, bits uint64) seccomp.Condition {
		return seccomp.Condition{Argument: argument, Operation: seccomp.BitsSet, Value: bits}
	}
	isNot := func(argument uint32, value uint64) seccomp.Condition {
		return seccomp.Condition{Argument: argument, Operation: seccomp.NotEqual, Value: value}
	}
	when := func(name string, action seccomp.Action, any ...conditions) seccomp.Policy {
		group := seccomp.SyscallGroup{Action: action}
		for _, c := range any {
			group.NamesWithCondtions = append(group.NamesWithCondtions, seccomp.NameWithConditions{Name: name, Conditions: c})
		}
		return seccomp.Policy{DefaultAction: seccomp.ActionAllow, Syscalls: []seccomp.SyscallGroup{group}}
	}
	return []seccomp.Policy{
		// Code is mapped from files, which stand where nothing can be written (what converts characters is loaded when it is needed), and
		// memory never becomes code.
		when("mmap", seccomp.ActionErrno,
			conditions{has(third, unix.PROT_EXEC), has(third, unix.PROT_WRITE)}, conditions{has(third, unix.PROT_EXEC), has(fourth, unix.MAP_ANONYMOUS)}),
		when("mprotect", seccomp.ActionErrno, conditions{has(third, unix.PROT_EXEC)}),
		// Threads, no processes.
		when("clone", seccomp.ActionKillProcess, conditions{{Argument: first, Operation: seccomp.BitsNotSet, Value: unix.CLONE_THREAD}}),
		// Signals to itself: abort(3), and the Go runtime's to its threads.
		when("tgkill", seccomp.ActionErrno, conditions{isNot(first, self)}),
		when("kill", seccomp.ActionErrno, conditions{isNot(first, self)}),
		when("prlimit64", seccomp.ActionErrno, conditions{isNot(first, 0)}, conditions{isNot(third, 0)}),
		when("prctl", seccomp.ActionErrno, conditions{isNot(first, unix.PR_SET_NAME)}),
	}
}
