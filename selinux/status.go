package selinux

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// status is the part of the kernel's status page that tells changes apart (security/selinux/include/security.h, struct
// selinux_kernel_status: version, sequence, enforcing, policyload, deny_unknown, each 32 bits).
type status struct{ sequence, enforcing, policyload uint32 }

const statusSize = 20 // bytes

// mapStatus maps the status page for reading. Its length is that of the structure; the kernel maps whole pages.
func mapStatus(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	page, err := unix.Mmap(int(f.Fd()), 0, statusSize, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", file, err)
	}
	return page, nil
}

// readStatus reads the page as it is. While the kernel writes, the sequence is odd; the value is then another one than before and after,
// which at worst is one call too many.
func readStatus(page []byte) status {
	word := func(i int) uint32 { return atomic.LoadUint32((*uint32)(unsafe.Pointer(&page[4*i]))) }
	return status{word(1), word(2), word(3)}
}

// watchStatus compares the page at each tick.
func watchStatus(ctx context.Context, read func() status, tick <-chan time.Time, changed func()) {
	last := read()
	changed()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick:
			if now := read(); now != last {
				last = now
				changed()
			}
		}
	}
}
