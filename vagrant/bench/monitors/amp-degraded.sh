# This connector where there is neither BTF nor headers: fanotify, process connector, sock_diag.
# shellcheck shell=bash disable=SC2034
# shellcheck source=/dev/null
. /media/amplab/amp.sh
coverages='all'
source=degraded

prepare() {
	mountpoint -q /sys/kernel/btf || mount -t tmpfs none /sys/kernel/btf
	mountpoint -q /usr/src || mount -t tmpfs none /usr/src
}
