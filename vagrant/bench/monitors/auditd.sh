# auditd with laurel behind it, which writes the log; auditd's own is off, as laurel's manual advises.
# shellcheck shell=bash disable=SC2034
packages='auditd laurel'
coverages='exec file network all'
log=/var/log/laurel/audit.log
exec_rules='-S execve -S execveat'
# 01103: O_WRONLY, O_RDWR, O_CREAT, O_TRUNC
file_rules='-S creat -S rename -S renameat -S renameat2 -S link -S linkat -S symlink -S symlinkat -S unlink -S unlinkat -S mkdir -S mkdirat -S rmdir -S mknod -S mknodat -S chmod -S fchmod -S fchmodat -S chown -S lchown -S fchown -S fchownat -S truncate -S ftruncate'
network_rules='-S connect -S accept -S accept4'

start() {
	if ! systemctl -q is-active auditd.service; then
		sed -i 's/^write_logs.*/write_logs = no/' /etc/audit/auditd.conf
		# The log is to be whole when it is counted.
		sed -i 's/^size *=.*/size = 200000000/' /etc/laurel/config.toml
		systemctl -q unmask auditd.service
		systemctl start auditd.service
	fi
	auditctl -D >/dev/null
	skip=$(stat -c %s $log 2>/dev/null || echo 0)
	case $1 in
	exec) rules exec ;;
	file) rules file ;;
	network) rules network ;;
	all) rules exec && rules file && rules network ;;
	esac
}

events() { tail -c +$((skip + 1)) $log; }

# rules KIND
rules() {
	case $1 in
	exec) rule "$exec_rules" ;;
	file)
		rule "$file_rules"
		rule '-S openat -F a2&01103'
		rule '-S open -F a1&01103'
		;;
	network) rule "$network_rules" ;;
	esac
}

# rule FIELDS: they are meant to be split.
rule() {
	# shellcheck disable=SC2086
	auditctl -a always,exit -F arch=b64 $1 >/dev/null
}

stop() {
	echo "note $1 $(auditctl -s | tr '\n' ' ')"
	auditctl -D >/dev/null
}

# auditd tells of writing only that a file was opened for it.
shown() {
	local ours='.*"/bench/(files|mixed)/d[0-9]+/f[0-9]+'
	case $1 in
	exec | all) tally "$1" exec '"EXECVE":.*"/bin/(true|false)"' ;;
	esac
	case $1 in
	file | all)
		tally "$1" create '"syscall":"?257\b'"$ours"
		tally "$1" rename '"syscall":"?82\b'"$ours"
		tally "$1" delete '"syscall":"?87\b'"$ours"
		;;
	esac
	case $1 in
	network | all) tally "$1" connect '"syscall":"?42\b.*"comm":"load"' ;;
	esac
}
