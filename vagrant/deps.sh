#!/bin/sh
# Usage: deps.sh NEED... — installs what the needs' commands and files come from, or without root names what is missing.
set -eu

# has NAME: there is a command of that name, or a file if it is a path.
has() {
	case $1 in
	/*) [ -e "$1" ] ;;
	*) command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ] ;;
	esac
}

# tools_of NEED prints a line "name package" for each, with the names of Debian's packages.
tools_of() {
	case $1 in
	test)
		tools_of build
		tools_of lab
		tools_of generate
		echo shellcheck shellcheck
		echo sparse sparse
		echo gpg gpg
		echo lintian lintian
		echo piuparts piuparts
		echo checkmodule checkpolicy
		echo semodule_package semodule-utils
		echo clamscan clamav
		echo /usr/share/clamav-testfiles/clam.exe clamav-testfiles
		;;
	lab)
		tools_of build
		echo qemu-system-x86_64 qemu-system-x86
		echo mmdebstrap mmdebstrap
		echo dpkg-scanpackages dpkg-dev
		echo setfiles policycoreutils
		echo semodule policycoreutils
		echo seinfo setools
		echo sesearch setools
		echo rpmbuild rpm
		echo mke2fs e2fsprogs
		echo /usr/share/OVMF/OVMF_CODE_4M.ms.fd ovmf
		echo make make
		echo gcc gcc
		# For guests whose kernel is built here.
		echo bc bc
		echo flex flex
		echo bison bison
		echo rsync rsync
		echo depmod kmod
		echo xz xz-utils
		echo /usr/include/gelf.h libelf-dev
		echo /usr/include/openssl/evp.h libssl-dev
		;;
	generate)
		echo clang-14 clang-14
		echo llvm-strip-14 llvm-14
		echo /usr/include/bpf/bpf_helpers.h libbpf-dev
		;;
	build)
		echo go golang
		echo dpkg-deb dpkg
		;;
	*)
		echo "deps.sh: no such need: $1" >&2
		exit 2
		;;
	esac
}

missing=''
for need in "$@"; do
	list=$(tools_of "$need")
	while read -r name package; do
		has "$name" || missing="$missing $package"
	done <<-END
		$list
	END
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
	echo "missing:$missing (on Debian: apt install$missing)" >&2
	exit 1
fi
apt-get update -q
# The list is meant to be split.
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
