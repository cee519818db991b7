#!/usr/bin/env bash
# release-check.sh VERSION: makes the release of this tree with goreleaser, in a scratch clone and without a network, from the hooks to
# the checksums; once as VERSION's tag would and once as a snapshot. Both times its packages have to be, byte for byte, those of
# `make packages` in another folder. A tree with changes is committed first, in the clone only.
set -euo pipefail

version=${1:?version}
version=${version#v}
here=$(cd "$(dirname "$0")/.." && pwd)
goreleaser=$("$here/tools/tool.sh" goreleaser)
scratch=$(mktemp -d "${TMPDIR:-/tmp}/release-check-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
release=$scratch/release packages=$scratch/packages

# A signature carries its time, so signed packages never have the same bytes twice. The rest would change what is made, or how make runs.
export LC_ALL=C
unset AMP_SIGN_KEY AMP_SIGN_PASSPHRASE SOURCE_DATE_EPOCH GORELEASER_PREVIOUS_TAG MAKEFLAGS MAKELEVEL

# clone_tree makes $release, a clone whose last commit, tagged, is this tree as it stands.
clone_tree() {
	git clone --quiet --local "$here" "$release"
	git --git-dir "$release/.git" --work-tree "$here" add --all
	if ! git -C "$release" diff --cached --quiet; then
		echo "release-check: the tree has changes; they are checked as if they were committed"
		git -C "$release" -c user.name=release-check -c user.email=release-check@localhost commit --quiet --message 'The tree as it stands'
		git -C "$release" reset --quiet --hard
	fi
	git -C "$release" tag --force "v$version" >/dev/null
}

# offline runs a command in $release with no network at all, or where namespaces are not to be had, without Go's.
offline() {
	if unshare --net --map-root-user true 2>/dev/null; then
		(cd "$release" && GOPROXY=off unshare --net --map-root-user "$@")
	else
		echo "release-check: no network namespaces here; only Go's network is cut off"
		(cd "$release" && GOPROXY=off "$@")
	fi
}

# judge compares what goreleaser left with `make packages` of the version that it chose.
judge() {
	local made package differ=0
	made=$(sed -nE 's/.*"version":"([^"]+)".*/\1/p' "$release/dist/metadata.json")
	[[ -n $made ]] || {
		echo "release-check: dist/metadata.json names no version" >&2
		return 1
	}
	rm -rf "$packages/dist"
	make --no-print-directory --directory "$packages" packages VERSION="$made" >/dev/null
	(cd "$packages/dist" && for package in *~*; do
		[[ ! -e $package ]] || mv "$package" "${package//\~/.}"
	done)
	diff <(cd "$packages/dist" && ls) <(cd "$release/bin/packages" && ls) || differ=1
	diff <(cd "$packages/dist" && sha256sum -- *) "$release/dist/SHA256SUMS" || differ=1
	(cd "$release/bin/packages" && sha256sum --quiet --check --strict ../../dist/SHA256SUMS) || differ=1
	[[ $differ == 0 ]] || {
		echo "release-check: goreleaser's packages of $made (>) are not those of make packages (<)" >&2
		return 1
	}
	echo "release-check: $made: $(wc -l <"$release/dist/SHA256SUMS") packages, the same bytes as make packages"
}

clone_tree
git clone --quiet --local "$release" "$packages"
(cd "$release" && go mod download)

offline "$goreleaser" check
GORELEASER_CURRENT_TAG=v$version offline "$goreleaser" release --clean --skip=publish
judge
offline "$goreleaser" release --snapshot --clean --skip=publish
judge
