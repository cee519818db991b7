#!/bin/bash
# scan.sh SIDE: in debian12-scanbench, what scans cost with ClamAV's own daemon (clamd) or with this connector (connector): the same libclamav,
# definitions, files and number of workers on the same host, a boot each. It prints lines of words for the program that booted the guest:
#   figure SIDE WHAT ROUND BUSY_NS ELAPSED_NS   work, until the processor is at rest again
#   count SIDE WHAT NUMBER                      files, bytes, findings, resident memory in KiB
#   latency SIDE WHILE NS                       from the close of a program that was written until it was found to be bad
#   version NAME VERSION
#   note TEXT                                   for whoever reads the log
# With the clock of that guest the processor's time is instructions, 1 ns each. Everything that is scanned was written before, and is in memory.
set -euo pipefail
shopt -s nullglob
here=/media/amplab
policy=/opt/cisco/amp/etc/policy.xml
rounds=2
dropped=30
export DEBIAN_FRONTEND=noninteractive

# measure SIDE WHAT ROUND COMMAND…: whatever its exit status, which tells of findings.
measure() {
	echo "figure $1 $2 $3 $(/bench/load compile 1 /bench sh -c '"$@" >/bench/said 2>&1 || true' sh "${@:4}")"
}

# compiles SIDE: one round to warm up, then the ones that count.
compiles() {
	local round
	measure "$1" compile 0 make -s -C /bench/compile clean all >/dev/null
	for ((round = 1; round <= rounds; round++)); do
		measure "$1" compile $round make -s -C /bench/compile clean all
	done
}

# counted SIDE WHAT NUMBER
counted() { echo "count $1 $2 $3"; }

# found SIDE: what the last scan found.
found() { counted "$1" cold-found "$(grep -c 'FOUND$' /bench/said || true)"; }

# resident SIDE WHAT PROGRAM: of all processes of that name together, now and at most.
resident() {
	local pid sum=0 most=0
	for pid in $(pgrep -x "$3"); do
		sum=$((sum + $(awk '/^VmRSS/ { print $2 }' "/proc/$pid/status")))
		most=$((most + $(awk '/^VmHWM/ { print $2 }' "/proc/$pid/status")))
	done
	counted "$1" "$2-resident-KiB" $sum
	counted "$1" "$2-peak-KiB" $most
}

# A disk that answers at once, with a journal.
modprobe brd rd_nr=1 rd_size=524288
mke2fs -q -t ext4 /dev/ram0
mkdir /bench
mount -o commit=1 /dev/ram0 /bench
gcc -static -O2 -Wall -Wextra -Werror -o /bench/load $here/load.c
gcc -static -O2 -Wall -Wextra -Werror -o /bench/dropper $here/drop.c
mkdir -p /bench/compile /bench/drop/{idle,scan} /bench/empty /bench/definitions /bench/tree/{bin,include,testfiles,archives}
cp $here/compile/* /bench/compile/
cp $here/definitions/* /bench/definitions/
cp -r /bench/definitions /bench/more
echo '00000000000000000000000000000001:1:Bench.More' >>/bench/more/bench.hdb

# The tree: programs, sources, the test files of ClamAV, and archives of what is not in it otherwise. Small enough for a clock that is slow.
find /usr/bin -maxdepth 1 -type f -size -512k | sort | awk 'NR % 5 == 0 && ++n <= 50' | xargs cp -t /bench/tree/bin
find /usr/include -type f | sort | awk 'NR % 9 == 0 && ++n <= 200' | xargs cp --parents -t /bench/tree/include
find /usr/share/clamav-testfiles -type f | sort | awk 'NR % 2 == 0' | xargs cp -t /bench/tree/testfiles
find /usr/lib/x86_64-linux-gnu/perl-base -name '*.p[lm]' | sort | awk 'NR <= 30' | tar czf /bench/tree/archives/perl.tar.gz -T - 2>/dev/null
find /usr/lib/gcc -name '*.h' | sort | awk 'NR <= 20' | tar cJf /bench/tree/archives/gcc.tar.xz -T - 2>/dev/null
cp -r /bench/tree /bench/second
cp -r /bench/tree /bench/third
counted tree files "$(find /bench/tree -type f | wc -l)"
counted tree bytes "$(find /bench/tree -type f -printf '%s\n' | awk '{ s += $1 } END { print s }')"
systemctl stop '*.timer'
echo "version kernel $(uname -r)"
dpkg-query -W -f='version ${Package} ${Version}\n' clamav-daemon libclamav12
/bench/load settle
compiles bare

# clamd FURTHER…: anew, with further lines in its configuration.
clamd() {
	cat >/bench/clamd.conf <<-END
		LocalSocket /run/clamav/clamd.ctl
		LocalSocketMode 666
		DatabaseDirectory /bench/definitions
		User clamav
		MaxThreads 2
		SelfCheck 0
		OnAccessIncludePath /bench/compile
		OnAccessExcludeUname clamav
	END
	printf '%s\n' "$@" >>/bench/clamd.conf
	mkdir -p /run/clamav
	chown clamav: /run/clamav
	systemd-run -q --collect --unit=bench-clamd /usr/sbin/clamd --foreground -c /bench/clamd.conf
	until clamdscan -c /bench/clamd.conf --ping 1 >/dev/null 2>&1; do sleep 1; done
}

clamav() {
	clamd 'DisableCache yes'
	measure clamd-cache-off cold 1 clamdscan -c /bench/clamd.conf --multiscan --fdpass /bench/tree
	found clamd-cache-off
	systemctl stop bench-clamd
	for ((round = 1; round <= rounds; round++)); do
		((round == 1)) || systemctl stop bench-clamd
		clamd ''
		((round > 1)) || resident clamd loaded clamd
		measure clamd-cache-on cold $round clamdscan -c /bench/clamd.conf --multiscan --fdpass /bench/tree
		found clamd-cache-on
		measure clamd-cache-on again $round clamdscan -c /bench/clamd.conf --multiscan --fdpass /bench/tree
		resident clamd scanned clamd
	done
	systemd-run -q --collect --unit=bench-clamonacc /usr/sbin/clamonacc --foreground --fdpass -c /bench/clamd.conf --log=/bench/clamonacc.log
	for ((i = 0; i < 120; i++)); do
		! grep -qs '^fanotify ino' "/proc/$(systemctl show -p MainPID --value bench-clamonacc)"/fdinfo/* || break
		sleep 1
	done
	compiles clamonacc
	tail -n 3 /bench/clamonacc.log | sed 's/^/note clamonacc /'
	systemctl stop bench-clamonacc bench-clamd
}

# status PATTERN: waits until the status, as JSON without blanks, has it.
status() {
	until ampcli status -o json | tr -d ' \n' | grep -E "$1" >/dev/null; do sleep 1; done
}

# connector ENABLED: anew, with no verdict from before.
connector() {
	systemctl stop cisco-amp.service
	rm -f /var/lib/cisco/amp/verdicts.db*
	echo "<policy version=\"1\"><scan enabled=\"$1\" unsigned=\"true\" workers=\"2\"/></policy>" >$policy
	systemctl start cisco-amp.service
	if [[ $1 == true ]]; then status '"scan":\{"state":"ready"'; else status '"scan":\{"state":"off"'; fi
	# These programs are scanned as they run.
	sh -c 'ampcli scan /bench/empty' >/dev/null 2>&1 || true
	/bench/load settle
}

# scanned ROUND: a tree that nobody scanned before, and again.
scanned() {
	measure connector cold "$1" ampcli scan /bench/tree
	found connector
	tail -n 1 /bench/said | sed 's/^/note cold /'
	measure connector again "$1" ampcli scan /bench/tree
	tail -n 1 /bench/said | sed 's/^/note again /'
	resident connector scanned ampscansvc
	resident connector daemon ampdaemon
}

# drop WHILE PAUSE_MS: writes programs, and tells how long it took to find each of them.
drop() {
	/bench/dropper "$(find /usr/bin /usr/lib/gcc -type f -size +1100k | sort | sed -n 1p)" "/bench/drop/$1" $dropped "$2" >/bench/closed
	sleep 5
	grep -ahF Bench.Marker /var/log/cisco/detections.jsonl* |
		sed -nE 's/^\{"time":([0-9]+),.*"path":"(\/bench\/drop\/[a-z]+\/[0-9]+)".*/\2 \1/p' >/bench/verdicts || true
	awk -v during="$1" '
		FILENAME ~ /verdicts$/ { if (!($1 in found)) found[$1] = $2; next }
		{ all++ }
		$2 in found { ns = found[$2] * 1e6 - $3; printf "latency connector %s %.0f\n", during, ns < 0 ? 0 : ns; n++ }
		END { printf "count connector %s-verdicts %d\ncount connector %s-dropped %d\n", during, n, during, all }' /bench/verdicts /bench/closed
}

# switch: other definitions take the place of these while a scan goes on.
switches() { grep -ac 'other definitions' /var/log/cisco/ampdaemon.log || true; }
switch() {
	local before i n pid kib sum most=0 processes=0 scan import
	before=$(switches)
	ampcli scan /bench/third >/bench/said 2>&1 &
	scan=$!
	ampcli definitions import /bench/more >/bench/imported 2>&1 &
	import=$!
	for ((i = 0; i < 1000; i++)); do
		sum=0 n=0
		for pid in $(pgrep -x ampscansvc); do
			kib=$(awk '/^VmRSS/ { print $2 }' "/proc/$pid/status" 2>/dev/null || true)
			sum=$((sum + ${kib:-0})) n=$((n + 1))
		done
		((sum <= most)) || most=$sum
		((n <= processes)) || processes=$n
		(($(switches) == before)) || break
		sleep 0.2
	done
	counted connector switch-peak-KiB $most
	counted connector switch-processes $processes
	wait $import || cat /bench/imported
	wait $scan || true
	tail -n 1 /bench/said | sed 's/^/note switch /'
	grep -ahE 'other definitions|paused for a switch' /var/log/cisco/ampdaemon.log | tail -n 2 | sed 's/^/note switch /'
}

ours() {
	local round scan
	apt-get install -y -q $here/packages/amp-connector.deb >/bench/install.log 2>&1
	connector true
	resident connector built-in ampscansvc
	ampcli definitions import /bench/definitions >/bench/said 2>&1 || {
		cat /bench/said
		exit 1
	}
	status '"signatures":3[0-9]{5}'
	/bench/load settle
	resident connector loaded ampscansvc
	scanned 1
	compiles connector
	drop idle 200
	ampcli scan /bench/second >/dev/null 2>&1 &
	scan=$!
	sleep 1
	drop scan 200
	! kill -0 $scan 2>/dev/null || echo 'note the scan went on when the last program was found'
	wait $scan || true
	switch
	for ((round = 2; round <= rounds; round++)); do
		connector true
		scanned $round
	done
	connector false
	compiles connector-without-scans
}

case $1 in
clamd) clamav ;;
connector) ours ;;
esac
