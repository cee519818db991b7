# A bpftrace one-liner that prints pid, name and path of each exec.
# shellcheck shell=bash disable=SC2034
packages='bpftrace'
coverages='exec'
log=/bench/bpftrace.log

start() {
	rm -f $log
	interruptible bpftrace -e 'tracepoint:syscalls:sys_enter_execve { printf("%d %s %s\n", pid, comm, str(args->filename)); }' >$log 2>&1 &
	started $! 'perf_event'
}

stop() {
	kill -INT $!
	wait || true
}

shown() { tally "$1" exec ' /bin/(true|false)$'; }
