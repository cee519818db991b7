#!/bin/bash
# where.sh: in debian12-bench, where the time goes that this connector adds to a workload. By
#
#     lab exec --counted debian12-bench vagrant/bench/where.sh vagrant/bench/load/load.c vagrant/bench/where/programs.c vagrant/bench/monitors/amp.sh
#
# time is instructions, 1 ns each. A file "asked" with lines of COVERAGE WORKLOAD COUNT can be given with it, and daemons, as files whose
# names begin with ampdaemon, that are measured after that of the package, for a comparison within one boot. Of each it prints, in ns an
# operation: what is added in all; the daemon's and the scan service's CPU time, its switches and system calls, in which is also what they do
# before and behind the workload, while the load waits for rest; and, in a round of its own, what the eBPF programs take, whose statistics cost
# something themselves. What is left is the way to the programs (trampolines), and what the kernel does elsewhere: files that are written out.
set -euo pipefail
shopt -s nullglob
here=/media/amplab
asked='exec exec 300
file files 800
network connect 800
all connect 800
all open 5000'
[[ ! -e $here/asked ]] || asked=$(cat $here/asked)

# shellcheck source=/dev/null
. $here/amp.sh

# As in run.sh: a disk that answers at once.
modprobe brd rd_nr=1 rd_size=262144
mke2fs -q -t ext4 /dev/ram0
mkdir /bench
mount -o commit=1 /dev/ram0 /bench
for program in load programs; do
	gcc -static -O2 -Wall -Wextra -Werror -o /bench/$program $here/$program.c
done
systemctl stop '*.timer'

# work WORKLOAD COUNT: a round; sets busy.
work() {
	mkdir -p "/bench/$1"
	busy=$(/bench/load "$1" "$2" "/bench/$1" true)
	busy=${busy% *}
}

# cpu PID: sets used to the CPU time of all threads of a process, in ns.
cpu() {
	local file ns rest
	used=0
	for file in "/proc/$1/task"/*/schedstat; do
		read -r ns rest <"$file"
		used=$((used + ns))
	done
}

# look: sets what the daemon and its service have done until now.
declare -A now
look() {
	local name value file rest pid
	cpu "$daemon"
	now=([daemon]=$used [service]=0 [switches]=0)
	for pid in $(pgrep -x ampscansvc || true); do
		cpu "$pid"
		now[service]=$((now[service] + used))
	done
	for file in "/proc/$daemon/task"/*/status; do
		while read -r name value rest; do
			[[ $name != *voluntary_ctxt_switches: ]] || now[switches]=$((now[switches] + value))
		done <"$file"
	done
	while read -r name value; do
		case $name in
		syscr: | syscw: | wchar:) now[${name%:}]=$value ;;
		esac
	done <"/proc/$daemon/io"
	read -r rest <"/proc/$daemon/stat"
	# The names are meant to be split: the third field is the first one behind the name.
	# shellcheck disable=SC2086
	set -- ${rest##*) }
	now[user]=${12} now[system]=${13}
}

# measure COVERAGE WORKLOAD COUNT: prints what is added, and where it goes.
measure() {
	local coverage=$1 workload=$2 count=$3 what
	work "$workload" "$count" # to warm up
	look
	declare -A before=()
	for what in "${!now[@]}"; do before[$what]=${now[$what]}; done
	work "$workload" "$count"
	look
	echo "$coverage $workload: added $(((busy - bare[$workload]) / count)) to $((bare[$workload] / count)) ns"
	for what in daemon service; do
		echo "    $what $(((now[$what] - before[$what]) / count)) ns"
	done
	echo "    daemon: user and system $((now[user] - before[user])) and $((now[system] - before[system])) ticks, switches $((now[switches] - before[switches]))," \
		"read and write calls $((now[syscr] - before[syscr])) and $((now[syscw] - before[syscw])), bytes written $(((now[wchar] - before[wchar]) / count)) an operation"
	/bench/programs | sort >/bench/programs.before
	sysctl -q kernel.bpf_stats_enabled=1
	work "$workload" "$count"
	sysctl -q kernel.bpf_stats_enabled=0
	echo "    with statistics added $(((busy - bare[$workload]) / count)) ns"
	/bench/programs | sort | join -a 1 - /bench/programs.before | awk -v count="$count" '{
		runs = $3 - $6; ns = $4 - $7; all += ns
		if (runs >= count / 20) printf "    %8.0f ns  %-16s %6.2f runs of %.0f ns\n", ns / count, $2, runs / count, ns / runs
	} END { printf "    %8.0f ns  all programs\n", all / count }' | sort -rn
}

declare -A bare
while read -r _ workload count; do
	[[ ! -v bare[$workload] ]] || continue
	work "$workload" "$count"
	work "$workload" "$count"
	bare[$workload]=$busy
done <<<"$asked"
for build in '' "$here"/ampdaemon*; do
	last=
	while read -r coverage workload count; do
		if [[ $coverage != "$last" ]]; then
			[[ -d /opt/cisco/amp ]] || apt-get install -y -q $here/packages/amp-connector.deb >/bench/install.log 2>&1
			systemctl stop cisco-amp.service
			[[ -z $build ]] || install -m 755 "$build" /opt/cisco/amp/bin/ampdaemon
			start "$coverage"
			sleep 30 # what the daemon begins with is over
			/bench/load settle
			last=$coverage
			echo "daemon: ${build:-that of the package}"
		fi
		daemon=$(systemctl show -p MainPID --value cisco-amp.service)
		measure "$coverage" "$workload" "$count"
	done <<<"$asked"
done
