# sysdig with its kernel module and its output in a file.
# shellcheck shell=bash disable=SC2034
packages='sysdig falcosecurity-scap-dkms'
coverages='exec file network all'
log=/run/sysdig.log
exec_events='execve, execveat'
file_events='creat, rename, renameat, renameat2, link, linkat, symlink, symlinkat, unlink, unlinkat, mkdir, mkdirat, rmdir, chmod, fchmod, fchmodat'
opens='(evt.type in (open, openat) and evt.is_open_write=true)'
network_events='connect, accept'

start() {
	local filter
	rm -f $log
	modprobe scap
	case $1 in
	exec) filter="evt.type in ($exec_events)" ;;
	file) filter="evt.type in ($file_events) or $opens" ;;
	network) filter="evt.type in ($network_events)" ;;
	all) filter="evt.type in ($exec_events, $file_events, $network_events) or $opens" ;;
	esac
	interruptible sysdig "evt.dir=< and ($filter)" >$log 2>&1 &
	started $! '/dev/scap'
}

stop() {
	kill -INT $!
	wait || true
	modprobe -r scap
}

shown() {
	case $1 in
	exec | all) tally "$1" exec ' < execve res=0 exe=/bin/(true|false) ' ;;
	esac
	case $1 in
	file | all)
		tally "$1" create ' < openat .* name=/bench/(files|mixed)/d[0-9]+/f[0-9]+'
		tally "$1" rename ' < rename .* newpath=/bench/(files|mixed)/d[0-9]+/f[0-9]+'
		tally "$1" delete ' < unlink .* path=/bench/(files|mixed)/d[0-9]+/f[0-9]+'
		;;
	esac
	case $1 in
	network | all) tally "$1" connect ' load .* < connect .*:7777' ;;
	esac
}
