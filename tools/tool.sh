#!/usr/bin/env bash
# tool.sh NAME: prints the path of the tool that NAME/go.mod pins, and builds it first where that has not been done yet. It is kept in
# the lab's cache ($AMP_CACHE, else amp-lab in the user's cache folder) under a hash of everything that it is made from.
set -euo pipefail

name=${1:?name of a folder below tools}
cache=$(realpath -m "${AMP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/amp-lab}")/tools
cd "$(dirname "$0")/$name"

# Nothing from the environment goes into the build that is not in the hash.
export CGO_ENABLED=0 GOFLAGS='' GOWORK=off
key=$({ go version && cat go.mod go.sum ../tool.sh; } | sha256sum)
kept=$cache/$name-${key:0:16}

mkdir -p "$cache"
exec 9>"$kept.lock"
flock 9
if [[ ! -x $kept/$name ]]; then
	echo "building $name, once for this go.mod and Go release, into $kept" >&2
	scratch=$(mktemp -d "$cache/.building-$name-XXXXXX")
	trap 'rm -rf "$scratch"' EXIT
	go build -trimpath -buildvcs=false -ldflags=-s -o "$scratch/" tool >&2
	rm -rf "$kept"
	mv -T "$scratch" "$kept"
	for old in "$cache/$name"-*; do
		[[ $old == "$kept"* ]] || rm -rf "$old"
	done
fi
printf '%s\n' "$kept/$name"
