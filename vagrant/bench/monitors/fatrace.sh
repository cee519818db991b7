# fatrace (fanotify) with its output in a file.
# shellcheck shell=bash disable=SC2034
packages='fatrace'
coverages='file'
log=/run/fatrace.log

start() {
	rm -f $log
	fatrace -o $log &
	started $! 'fanotify'
}

stop() {
	kill -TERM $!
	wait || true
}

# Of what happens to names it tells only the folder. The kernel makes one event of those that are alike and have not been read yet.
shown() {
	tally "$1" open ': [A-Z]*O[A-Z]* +/bench/open/opened$'
	tally "$1" create ': [^/]*\+[^/]* +/bench/(files|mixed)/d[0-9]+$'
	tally "$1" write ': [A-Z]*C[A-Z]*W[A-Z]* +/bench/(files|mixed)/d[0-9]+/f'
	tally "$1" rename ': [^/]*<[^/]* +/bench/(files|mixed)/d[0-9]+$'
	tally "$1" delete ': [^/]*D[^/]* +/bench/(files|mixed)/d[0-9]+$'
}
