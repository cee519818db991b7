#!/bin/bash
# run.sh: in debian12-bench, what each workload costs without a monitor and then with the one in monitor.sh, at each of its coverages. It
# prints lines of words for the program that booted the guest:
#   sample COVERAGE WORKLOAD ROUND BUSY_NS ELAPSED_NS     coverage none is the bare host
#   shown COVERAGE KIND COUNT                             events of the workloads' files, programs and port in the monitor's log
#   note COVERAGE TEXT                                    what the monitor itself says
# monitor.sh gives: packages, coverages, log, start COVERAGE, stop COVERAGE, shown COVERAGE. sizes.sh gives: rounds, count_of (by workload), workloads_of (by coverage).
# shellcheck disable=SC2154
set -euo pipefail
shopt -s nullglob
here=/media/amplab
export DEBIAN_FRONTEND=noninteractive

# events: the monitor's log, one event a line.
events() { cat "$log"*; }

# tally COVERAGE KIND REGEX: counts the log's lines.
tally() {
	echo "shown $1 $2 $(events | grep -acE "$3" || true)"
}

# started PID LINK: waits until a process holds an open file of that kind, by which it gets its events. That the processor is at rest
# does not tell: it is while a program is read from disk.
started() {
	until readlink /proc/"$1"/fd/* | grep -q "$2"; do
		[[ -d /proc/$1 ]]
		sleep 0.2
	done
}

# interruptible COMMAND…: a program that a script starts with & ignores SIGINT, and these write the rest of their output at its arrival.
interruptible() {
	exec env --default-signal=INT "$@"
}

# shellcheck source=/dev/null
. $here/sizes.sh
# shellcheck source=/dev/null
. $here/monitor.sh

# measure COVERAGE: one round to warm up, then the ones that count.
measure() {
	local workload round figures
	for workload in ${workloads_of[$1]}; do
		mkdir -p "/bench/$workload"
		for ((round = 0; round <= rounds; round++)); do
			figures=$(/bench/load "$workload" "${count_of[$workload]}" "/bench/$workload" make -s -C /bench/compile clean all)
			((round == 0)) || echo "sample $1 $workload $round $figures"
		done
	done
}

# A disk that answers at once: what a workload waits for is no part of its cost, and comes out different each time. With a journal, since
# ext4 without one looks longer and longer for inodes that were not deleted lately; it is written within the rest after each workload.
modprobe brd rd_nr=1 rd_size=262144
mke2fs -q -t ext4 /dev/ram0
mkdir /bench
mount -o commit=1 /dev/ram0 /bench
gcc -static -O2 -Wall -Wextra -Werror -o /bench/load $here/load.c
mkdir /bench/compile
cp $here/compile/* /bench/compile/
systemctl stop '*.timer'
echo "version kernel $(uname -r)"
# The names are meant to be split.
# shellcheck disable=SC2086
[[ -z $packages ]] || dpkg-query -W -f='version ${Package} ${Version}\n' $packages
/bench/load settle
workloads_of[none]=$(for coverage in $coverages; do echo "${workloads_of[$coverage]}"; done | tr ' ' '\n' | sort -u | tr '\n' ' ')
measure none
for coverage in $coverages; do
	start "$coverage"
	/bench/load settle
	measure "$coverage"
	stop "$coverage"
	shown "$coverage"
	events | grep -aE 'bench|load' | tail -n 3 | cut -c 1-800 | sed "s/^/note $coverage /" || true
done
