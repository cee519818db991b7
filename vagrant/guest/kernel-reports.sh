#!/bin/sh
# kernel-reports.sh fails where the kernel has reported an error of its own or of a module (lockdep, RCU, what may not sleep, lists, objects in use), with all
# that it said, and where it does not look: lockdep reports once, and is off then.
if ! grep -q '^ *debug_locks: *1$' /proc/lockdep_stats; then
	grep debug_locks /proc/lockdep_stats
	dmesg
	exit 1
fi
if dmesg | grep -E 'BUG:|WARNING:|INFO: |Oops|possible .*(deadlock|lock)|inconsistent lock|suspicious RCU|rcu:.*(stall|detected)|sleeping function|ODEBUG|corruption|general protection'; then
	dmesg
	exit 1
fi
