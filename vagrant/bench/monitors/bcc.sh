# bcc's execsnoop, opensnoop and tcpconnect, each with its output in a file.
# shellcheck shell=bash disable=SC2034
packages='bpfcc-tools'
coverages='exec file network all'
log=/bench/bcc.log

start() {
	rm -f $log*
	case $1 in
	exec) tool execsnoop ;;
	file) tool opensnoop ;;
	network) tool tcpconnect ;;
	all) tool execsnoop && tool opensnoop && tool tcpconnect ;;
	esac
}

tool() {
	interruptible "/usr/sbin/$1-bpfcc" >"$log.$1" 2>&1 &
	started $! 'perf_event'
}

stop() {
	# shellcheck disable=SC2046
	kill -INT $(jobs -p)
	wait || true
}

# They tell nothing of files but that they were opened.
shown() {
	case $1 in
	exec | all) tally "$1" exec ' /bin/(true|false)' ;;
	esac
	case $1 in
	file | all)
		tally "$1" open ' /bench/open/opened$'
		tally "$1" create ' /bench/(files|mixed)/d[0-9]+/f[0-9]+'
		;;
	esac
	case $1 in
	network | all) tally "$1" connect ' load .* 7777' ;;
	esac
}
