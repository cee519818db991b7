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
	brk madvise mincore mremap munmap mlock munlock membarrier
	futex get_robust_list set_robust_list rseq set_tid_address sched_yield sched_getaffinity sched_getparam sched_getscheduler
	exit exit_group rt_sigaction rt_sigpending rt_sigprocmask rt_sigreturn rt_sigtimedwait sigaltstack restart_syscall
	clock_getres clock_gettime clock_nanosleep gettimeofday nanosleep time times getitimer setitimer
	getcpu getpid getppid gettid getuid geteuid getgid getegid getgroups getpgrp getrlimit getrusage getrandom uname sysinfo
	read readv pread64 preadv write writev pwrite64 pwritev lseek _llseek close dup dup2 dup3 fcntl flock fadvise64 readahead
	open openat creat access faccessat faccessat2 stat lstat fstat newfstatat statx fstatfs statfs getdents getdents64 getcwd
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

// filterSystemCalls puts all threads, also those to come, behind a seccomp(2) filter.
func filterSystemCalls() error {
	policy, err := systemCalls(uint64(unix.Getpid()))
	if err != nil {
		return err
	}
	return seccomp.LoadFilter(seccomp.Filter{NoNewPrivs: true, Flag: seccomp.FilterFlagTSync, Policy: policy})
}

// systemCalls is the policy for a process of the given number.
func systemCalls(self uint64) (seccomp.Policy, error) {
	here, err := arch.GetInfo("")
	if err != nil {
		return seccomp.Policy{}, err
	}
	known := func(list string) (names []string) {
		for _, name := range strings.Fields(list) {
			if _, ok := here.SyscallNames[name]; ok {
				names = append(names, name)
			}
		}
		return names
	}
	return seccomp.Policy{
		DefaultAction: seccomp.ActionErrno,
		Syscalls: []seccomp.SyscallGroup{
			{Action: seccomp.ActionAllow, Names: known(needed)},
			// glibc falls back to clone(2), whose flags can be looked at, where this one does not exist.
			{Action: seccomp.ActionErrno | seccomp.Action(unix.ENOSYS), Names: known("clone3")},
			{Action: seccomp.ActionKillProcess, Names: known(fatal)},
			{Action: seccomp.ActionAllow, NamesWithCondtions: conditional(self)},
		},
	}, nil
}

// conditional are the system calls that are needed with certain arguments only. They come last, and in this order: where arguments do not
// fit, the assembler (1.6.0) compares with the names that follow an argument and not the number of the call any more. With these, none
// can be made to fit.
func conditional(self uint64) []seccomp.NameWithConditions {
	const first, third, fourth = 0, 2, 3
	when := func(name string, c ...seccomp.Condition) seccomp.NameWithConditions {
		return seccomp.NameWithConditions{Name: name, Conditions: c}
	}
	without := func(argument uint32, bits uint64) seccomp.Condition {
		return seccomp.Condition{Argument: argument, Operation: seccomp.BitsNotSet, Value: bits}
	}
	is := func(argument uint32, value uint64) seccomp.Condition {
		return seccomp.Condition{Argument: argument, Operation: seccomp.Equal, Value: value}
	}
	return []seccomp.NameWithConditions{
		// Code is mapped from files, which stand where nothing can be written (what converts characters is loaded when it is needed), and
		// memory never becomes code.
		when("mmap", without(third, unix.PROT_EXEC)),
		when("mmap", without(third, unix.PROT_WRITE), without(fourth, unix.MAP_ANONYMOUS)),
		when("mprotect", without(third, unix.PROT_EXEC)),
		// Signals to itself: abort(3), and the Go runtime's to its threads.
		when("tgkill", is(first, self)),
		when("kill", is(first, self)),
		when("prlimit64", is(first, 0), is(third, 0)),
		when("prctl", is(first, unix.PR_SET_NAME)),
		// Threads, no processes.
		when("clone", seccomp.Condition{Argument: first, Operation: seccomp.BitsSet, Value: unix.CLONE_THREAD}),
	}
}
