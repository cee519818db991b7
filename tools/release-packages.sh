#!/usr/bin/env bash
# release-packages.sh VERSION: the packages of a release, made into bin/packages by goreleaser's hook, and no others.
set -euo pipefail

version=${1:?version}
cd "$(dirname "$0")/.."

# What an earlier release left would be taken for a part of this one.
rm -rf bin/packages
go run ./packaging --version "$version" --out bin/packages

# GitHub puts a dot for the tilde that stands before a prerelease, so under their own names the checksums would name files that nobody
# can download. The version inside the packages keeps its tilde.
for package in bin/packages/*~*; do
	[[ ! -e $package ]] || mv "$package" "${package//\~/.}"
done
