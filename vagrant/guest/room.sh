#!/bin/sh
# room.sh TESTS [ARGUMENT…] runs the tests of a room in a guest, with what they ask of a host: a kernel module that does no harm, a
# file system that shares extents, and the connector's own modules, as far as the payload has them.
set -eu
disk=/var/tmp/room.xfs
TMPDIR=/srv/room
AMP_TEST_MODULE=$(modinfo -n dummy)
AMP_TEST_MODULES=
case $AMP_TEST_MODULE in
*.xz) # init_module(2) takes none that is compressed
	xz -dc "$AMP_TEST_MODULE" > /var/tmp/dummy.ko
	AMP_TEST_MODULE=/var/tmp/dummy.ko
	;;
esac
if test -d kmod; then
	AMP_TEST_MODULES=$PWD/kmod
fi
export TMPDIR AMP_TEST_MODULE AMP_TEST_MODULES
if ! mountpoint -q $TMPDIR; then # the first room
	truncate -s 512M $disk
	mkfs.xfs -q $disk
	mkdir -p $TMPDIR
	mount -o loop $disk $TMPDIR
fi
exec "$@"
