#!/bin/sh
# room.sh TESTS [ARGUMENT…] runs the tests of a room in a guest, with what they ask of a host: a kernel module that does no harm, and a
# file system that shares extents.
set -eu
disk=/var/tmp/room.xfs
TMPDIR=/srv/room
AMP_TEST_MODULE=$(modinfo -n dummy)
case $AMP_TEST_MODULE in
*.xz) # init_module(2) takes none that is compressed
	xz -dc "$AMP_TEST_MODULE" > /var/tmp/dummy.ko
	AMP_TEST_MODULE=/var/tmp/dummy.ko
	;;
esac
export TMPDIR AMP_TEST_MODULE
if ! mountpoint -q $TMPDIR; then # the first room
	truncate -s 512M $disk
	mkfs.xfs -q $disk
	mkdir -p $TMPDIR
	mount -o loop $disk $TMPDIR
fi
exec "$@"
