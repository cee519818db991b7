#!/bin/sh
# Makes symbol.ko, a module that needs a symbol of no kernel, with the headers of Debian 12's kernel (6.1.0-57-amd64) and its gcc.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
echo 'obj-m := ampfsm.o' >"$work/Makefile"
cat >"$work/ampfsm.c" <<'END'
#include <linux/module.h>
int amp_nowhere(void);
int __init good_init(void) { pr_info("here\n"); return amp_nowhere(); }
static void __exit good_exit(void) { }
module_init(good_init);
module_exit(good_exit);
MODULE_LICENSE("GPL");
MODULE_VERSION("1");
END
make -C "${1:-/lib/modules/$(uname -r)/build}" M="$work" KBUILD_MODPOST_WARN=1 modules
strip -g -o "$here/symbol.ko" "$work/ampfsm.ko"
