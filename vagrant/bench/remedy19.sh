#!/bin/bash
# remedy19.sh: in debian12-enforcing-el, what amp-remediate 19 costs beside the bare semodule -i of the same module, in turns,
# and what it costs where the rule holds already. With lab exec --counted the guest's time is instructions, 1 ns each: it then depends
# neither on the machine nor on what else runs there, and a turn takes 10 minutes: a file "turns" with the number of them can be given with it.
set -euo pipefail
turns=3
[[ ! -e /media/amplab/turns ]] || turns=$(cat /media/amplab/turns)
cil=/opt/cisco/amp/share/selinux/cisco-secure-bpf.cil

# took COMMAND…: runs it and prints how long that took, in ms. It fails where the command does: what failed is not to be compared.
took() {
	local from=${EPOCHREALTIME/./}
	"$@" >/dev/null 2>&1 || { echo "exit status $?: $*" >&2; return 1; }
	echo $(((${EPOCHREALTIME/./} - from) / 1000))
}

export DEBIAN_FRONTEND=noninteractive
apt-get install -y -q /media/amplab/packages/amp-connector*.deb >/dev/null 2>&1
# withdraw: takes the rule away, and waits until the daemon has changed its source and what was written is scanned: that is not what is measured.
withdraw() {
	semodule -r cisco-secure-bpf >/dev/null 2>&1
	sleep 30
}
# The first rebuilds write files whose contents the scan service does not know yet, and programs that are run for the first time are scanned: semodule
# is known then, and amp-remediate is to be too.
withdraw
status=0
amp-remediate 19 --dry-run >/dev/null 2>&1 || status=$?
[[ $status -eq 1 ]] || { echo "amp-remediate 19 --dry-run: exit status $status, expected 1: the fault is there" >&2; exit 1; }
semodule -i "$cil" >/dev/null 2>&1
# The daemon would re-read the host at each policy load, beside what is measured, for both alike; it stays.
for turn in $(seq "$turns"); do
	withdraw
	bare=$(took semodule -i "$cil")
	withdraw
	remedy=$(took amp-remediate 19 --yes)
	echo "turn $turn: semodule -i $bare ms, amp-remediate 19 --yes $remedy ms, ratio $((remedy * 100 / bare)) %"
done
store=/var/lib/selinux/default/active
before=$(find $store -printf '%p %T@ %i\n' | sha256sum)
for turn in 1 2 3; do
	holds=$(took amp-remediate 19 --yes)
	echo "turn $turn, rule holds: amp-remediate 19 $holds ms"
done
[[ $(find $store -printf '%p %T@ %i\n' | sha256sum) == "$before" ]] && echo "the store was not touched"
# What a remedy without anything to do takes beside that, which can be compared with a real host: most of them have no SELinux.
nothing=$(took amp-remediate 5 --yes)
echo "amp-remediate 5, nothing to do: $nothing ms"
check=$(took sh -c 'amp-remediate check; test $? -ne 2')
echo "amp-remediate check: $check ms"
pid=$(systemctl show -p MainPID --value cisco-amp.service)
grep -E '^Vm(RSS|HWM)' "/proc/$pid/status"
