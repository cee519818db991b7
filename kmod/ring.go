package kmod

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/monitor"
)

// struct amp_ring_page, src/ring.h.
const (
	ringVersion = 1

	offRingVersion  = 0
	offRingSize     = 8
	offRingProduced = 16
	offRingCounts   = 24

	countedKinds   = 32
	ringSmallest   = 1 << 20
	ringLargest    = 64 << 20
	recordSmallest = 96 // the head, struct amp_record
	recordLargest  = 20480
	recordAlign    = 8
	offRecordTime  = 8
)

// enum amp_verdict, src/ring.h.
const (
	verdictMerged = iota
	verdictShed
	verdictFull
	verdictMissed
	verdicts
)

// The calls of the device, src/ring.h: _IOW and _IO of asm-generic/ioctl.h.
const (
	ioctlSet      = 1<<30 | unsafe.Sizeof(settings{})<<16 | 0xA3<<8 | 1
	ioctlConsumed = 1<<30 | 8<<16 | 0xA3<<8 | 2
	ioctlWait     = 0xA3<<8 | 3
)

// settings is struct amp_settings, src/ring.h.
type settings struct {
	Kinds, Critical, Reduced, _ uint32
	WakeupBytes                 uint64
}

// ring is the reader's side of one module's ring. Its methods are for one goroutine but for set, counts and fill.
type ring struct {
	module string
	file   *os.File
	conn   syscall.RawConn
	memory []byte // a page, and the ring
	data   []byte
	read   uint64         // bytes that were ever read
	told   uint64         // of those, what the kernel knows of
	across []byte         // a record that goes over the ring's end
	before monitor.Counts // of those who read before
}

// openRing opens and maps the device of a module. There can be one reader: another is EBUSY.
func openRing(module string) (*ring, error) {
	path := "/dev/" + module
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	r := &ring{module: module, file: os.NewFile(uintptr(fd), path)}
	if err := r.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), r.close())
	}
	return r, nil
}

func (r *ring) open() (err error) {
	if r.conn, err = r.file.SyscallConn(); err != nil {
		return err
	}
	page := os.Getpagesize()
	var head []byte
	err = r.control(func(fd int) (err error) {
		head, err = unix.Mmap(fd, 0, page, unix.PROT_READ, unix.MAP_SHARED)
		return err
	})
	if err != nil {
		return os.NewSyscallError("mmap", err)
	}
	version, size := binary.NativeEndian.Uint32(head[offRingVersion:]), binary.NativeEndian.Uint64(head[offRingSize:])
	if err := unix.Munmap(head); err != nil {
		return os.NewSyscallError("munmap", err)
	}
	if version != ringVersion || size < ringSmallest || size > ringLargest || size&(size-1) != 0 {
		return fmt.Errorf("ring of version %d and %d bytes, expected version %d: the loaded module is of another version", version, size, ringVersion)
	}
	err = r.control(func(fd int) (err error) {
		r.memory, err = unix.Mmap(fd, 0, page+int(size), unix.PROT_READ, unix.MAP_SHARED)
		return err
	})
	if err != nil {
		return os.NewSyscallError("mmap", err)
	}
	r.data = r.memory[page:]
	r.across = make([]byte, recordLargest)
	// What the reader before did not read is nobody's.
	r.read = r.produced()
	r.total(&r.before)
	return r.consumed()
}

func (r *ring) control(f func(fd int) error) error {
	var err error
	if e := r.conn.Control(func(fd uintptr) { err = f(int(fd)) }); e != nil {
		return e
	}
	return err
}

func (r *ring) ioctl(request uintptr, argument unsafe.Pointer) (n uintptr, err error) {
	err = r.control(func(fd int) error {
		var errno syscall.Errno
		n, _, errno = unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(argument))
		if errno != 0 {
			return os.NewSyscallError("ioctl", errno)
		}
		return nil
	})
	return n, err
}

func (r *ring) word(at int) uint64 {
	return atomic.LoadUint64((*uint64)(unsafe.Pointer(&r.memory[at])))
}

func (r *ring) produced() uint64 { return r.word(offRingProduced) }

// waiting is how many bytes are still to be read.
func (r *ring) waiting() int { return int(r.produced() - r.read) }

// next is the next record, nil where there is none. It is good until consumed.
func (r *ring) next() ([]byte, error) {
	there := r.produced() - r.read
	if there == 0 {
		return nil, nil
	}
	at := r.read & uint64(len(r.data)-1)
	size := uint64(binary.NativeEndian.Uint32(r.data[at:]))
	if size < recordSmallest || size > recordLargest || size > there {
		return nil, fmt.Errorf("ring of %s: record of %d bytes where %d are", r.module, size, there)
	}
	if at+size <= uint64(len(r.data)) {
		return r.data[at : at+size : at+size], nil
	}
	n := copy(r.across, r.data[at:])
	copy(r.across[n:size], r.data)
	return r.across[:size:size], nil
}

// pass goes on to the record behind one of so many bytes. The kernel is told where a good part of the ring was read.
func (r *ring) pass(size int) error {
	r.read += uint64(size+recordAlign-1) &^ (recordAlign - 1)
	if r.read-r.told < uint64(len(r.data))/consumedPart {
		return nil
	}
	return r.consumed()
}

// consumed gives what was read back to the kernel.
func (r *ring) consumed() error {
	if r.read == r.told {
		return nil
	}
	_, err := r.ioctl(ioctlConsumed, unsafe.Pointer(&r.read))
	atomic.StoreUint64(&r.told, r.read)
	return err
}

// wait asks to be woken by the next record. It reports whether one is there already.
func (r *ring) wait() (bool, error) {
	n, err := r.ioctl(ioctlWait, nil)
	return n != 0, err
}

// set tells the module what is wanted.
func (r *ring) set(kinds monitor.Kinds, reduced bool) error {
	s := settings{Kinds: uint32(kinds), Critical: uint32(monitor.CriticalKinds | monitor.FileKinds), WakeupBytes: uint64(len(r.data)) / wakeupPart}
	if reduced {
		s.Reduced = 1
	}
	_, err := r.ioctl(ioctlSet, unsafe.Pointer(&s))
	return err
}

// total adds the module's counts since it was loaded.
func (r *ring) total(c *monitor.Counts) {
	for k := range min(len(c.Kinds), countedKinds) {
		n := func(verdict int) uint64 { return r.word(offRingCounts + 8*(k*verdicts+verdict)) }
		c.Kinds[k].Merged += n(verdictMerged)
		c.Kinds[k].Shed += n(verdictShed)
		c.Kinds[k].Full += n(verdictFull)
		c.Kinds[k].Missed += n(verdictMissed)
	}
}

// addTo adds the module's counts since the ring was opened.
func (r *ring) addTo(c *monitor.Counts) {
	var now monitor.Counts
	r.total(&now)
	for k, n := range now.Kinds {
		was := &r.before.Kinds[k]
		c.Kinds[k].Merged += n.Merged - was.Merged
		c.Kinds[k].Shed += n.Shed - was.Shed
		c.Kinds[k].Full += n.Full - was.Full
		c.Kinds[k].Missed += n.Missed - was.Missed
	}
	c.QueueBytes += r.produced() - atomic.LoadUint64(&r.told)
	c.QueueSize += uint64(len(r.data))
}

func (r *ring) close() error {
	err := r.file.Close()
	if r.memory != nil {
		err = errors.Join(err, unix.Munmap(r.memory))
	}
	return err
}
