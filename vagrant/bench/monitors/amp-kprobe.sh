# This connector on a kernel without BTF of its own: layouts are derived from its headers, and programs hang at probes in place of trampolines.
# shellcheck shell=bash disable=SC2034
# shellcheck source=/dev/null
. /media/amplab/amp.sh
coverages='all'
source=ebpf-headers

prepare() {
	mountpoint -q /sys/kernel/btf || mount -t tmpfs none /sys/kernel/btf
}
