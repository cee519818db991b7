#!/bin/bash
# daemon.sh: in a fresh guest, what the daemon costs by itself: CPU time from its start to its first canary, CPU time while nothing happens,
# and memory. With lab exec --counted the guest's time is instructions, 1 ns each: it then depends neither on the machine nor on what else
# runs there.
set -euo pipefail
log=/var/log/cisco/ampdaemon.log
patience=240 # seconds
idle=60      # seconds

# pause SECONDS: a program that sleeps would be an event, which the daemon handles.
exec {never}<> <(:)
pause() { read -r -t "$1" -u "$never" || true; }

# used: sets cpu to the CPU time of the daemon in ns, and ticks to user and system time as proc(5) has it. /proc/PID/schedstat is that of the
# first thread alone.
used() {
	local file ns rest
	cpu=0
	for file in "/proc/$pid/task"/*/schedstat; do
		read -r ns rest <"$file"
		cpu=$((cpu + ns))
	done
	read -r rest <"/proc/$pid/stat"
	# Words are meant to be split: the third field is the first one behind the name.
	# shellcheck disable=SC2086
	set -- ${rest##*) }
	ticks="user ${12} system ${13} ticks of 1/$hertz s"
}

main_pid() { systemctl show -p MainPID --value cisco-amp.service; }

# canary LINES: waits until the daemon's log tells of a canary behind its first lines. To ask the daemon would cost it something.
canary() {
	local lines end=$((SECONDS + patience))
	until mapfile -t -s "$1" lines <"$log" && [[ ${lines[*]} == *'canary seen'* ]]; do
		((SECONDS < end)) || {
			echo "no canary within $patience s" >&2
			exit 1
		}
		pause 0.1
	done
}

export DEBIAN_FRONTEND=noninteractive
hertz=$(getconf CLK_TCK)
apt-get install -y -q /media/amplab/packages/amp-connector*.deb >/dev/null 2>&1
until ampcli status | grep '^Canary: *seen'; do sleep 1; done
pid=$(main_pid)
used
echo "started by the package, apt beside it, to the first canary and a status: $cpu ns ($ticks)"

systemctl stop cisco-amp.service
pause 5
mapfile -t before <"$log"
from=${EPOCHREALTIME/./}
systemctl start cisco-amp.service
pid=$(main_pid)
canary ${#before[@]}
took=$((${EPOCHREALTIME/./} - from))
used
echo "started again, to the first canary: $cpu ns ($ticks), $((took / 1000)) ms after systemctl start"

pause 10 # what begins with the start is over
used
start=$cpu from=${EPOCHREALTIME/./}
pause "$idle"
used
took=$((${EPOCHREALTIME/./} - from))
echo "idle: $(((cpu - start) * 1000 / (took / 1000))) ns of CPU a second, over $((took / 1000)) ms"
grep -E '^(Vm(RSS|HWM)|Rss(Anon|File))' "/proc/$pid/status"
ampcli status | grep -E '^(Mode|Source|Canary|Events)' || true
