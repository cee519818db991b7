# This connector, as its package and systemd run it. amp-NAME.sh is the same by another source: it sets source and monitor anew, and prepare.
# shellcheck shell=bash disable=SC2034
packages=''
coverages='exec file network all'
log=/var/log/cisco/events.jsonl
kinds='exec exit create write rename link delete attributes map copy open close listen module bpf trace credentials'
source=ebpf # as the status names it
monitor='' # element of the policy

# prepare takes from the host what the connector is to do without.
prepare() { :; }

start() {
	prepare
	[[ -d /opt/cisco/amp ]] || apt-get install -y -q /media/amplab/packages/amp-connector.deb >/bench/install.log 2>&1
	systemctl stop cisco-amp.service
	rm -f $log*
	policy "$1" >/opt/cisco/amp/etc/policy.xml
	systemctl start cisco-amp.service
	until ampcli status -o json | tr -d ' \n' | grep -q "\"source\":{\"name\":\"$source\""; do sleep 1; done
}

# policy COVERAGE: leaves out the kinds that the others are not asked for either, and scans, which none of them makes.
policy() {
	local wanted kind
	case $1 in
	exec) wanted='exec' ;;
	file) wanted='create write rename link delete attributes' ;;
	network) wanted=open ;;
	all) wanted=$kinds ;;
	esac
	echo "<policy version=\"1\">$monitor<exclusions>"
	for kind in $kinds; do
		[[ " $wanted " == *" $kind "* ]] || echo "<kind name=\"$kind\"/>"
	done
	echo '</exclusions><scan enabled="false"/></policy>'
}

stop() {
	ampcli status -o json | tr -d ' \n' | sed "s/^/note $1 /"
	echo
	echo "note $1 $(grep -E '^VmRSS' "/proc/$(systemctl show -p MainPID --value cisco-amp.service)/status")"
	systemctl stop cisco-amp.service
}

# The log has the field names of OCSF (docs/ocsf.md).
shown() {
	local ours='.*"path":"/bench/(files|mixed)/d[0-9]+/f[0-9]+'
	case $1 in
	exec | all) tally "$1" exec '"type_uid":100701,.*"cmd_line":"/bin/(true|false)"' ;;
	esac
	case $1 in
	file | all)
		tally "$1" create '"type_uid":100101,'"$ours"
		tally "$1" write '"type_uid":100103,'"$ours"
		tally "$1" rename '"type_uid":100105,'"$ours"
		tally "$1" delete '"type_uid":100104,'"$ours"
		;;
	esac
	case $1 in
	network | all) tally "$1" connect '"type_uid":400101,.*"direction_id":2.*"dst_endpoint":[^}]*"port":7777' ;;
	esac
}
