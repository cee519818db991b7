#!/bin/sh
# Usage: record.sh — compiles shapes.c in the ways that compilers write debug information.
set -eu
cd "$(dirname "$0")"
record() {
	out=$1
	shift
	"$@" -ffile-prefix-map="$PWD=." -c -o "$out" shapes.c # a record does not tell where it was made
}
record dwarf5.o gcc-12 -g -gdwarf-5 -gz=none
record dwarf4.o gcc-12 -g -gdwarf-4 -gz=zlib
record dwarf2.o gcc-12 -g -gdwarf-2 -gstrict-dwarf -gz=none
record clang.o clang-14 -g -gdwarf-5 -gz=none
record none.o gcc-12 -g0
