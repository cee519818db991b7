package selinux

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Messages of the SELinux netlink family (include/uapi/linux/selinux_netlink.h).
const (
	groupAVC      = 1 // SELNLGRP_AVC
	msgSetEnforce = 0x10
	msgPolicyLoad = 0x11
)

// samplePeriod is how often the status page is looked at where netlink tells nothing.
const samplePeriod = time.Second

// WatchPolicy calls changed once when it has begun to watch, and then each time when the running kernel's SELinux mode changes or a policy
// is loaded, until ctx ends; it returns nil then. Calls come from one goroutine, one at a time. The kernel tells by netlink; where that is
// refused or belongs to another network namespace, the kernel's status page (/sys/fs/selinux/status) is looked at each second. Where SELinux
// is disabled nothing can change before the next boot.
func WatchPolicy(ctx context.Context, changed func()) error {
	k := running()
	if m := k.mode(); m.Known() && m.Value == Disabled {
		changed()
		<-ctx.Done()
		return nil
	}
	var refused error
	if sameNetwork(k.proc) {
		f, err := listen()
		if err == nil {
			return watchNetlink(ctx, f, changed)
		}
		refused = err
	}
	page, err := mapStatus(filepath.Join(k.selinuxfs, "status"))
	if err != nil {
		return errors.Join(refused, err)
	}
	defer unix.Munmap(page)
	tick := time.NewTicker(samplePeriod)
	defer tick.Stop()
	watchStatus(ctx, func() status { return readStatus(page) }, tick.C, changed)
	return nil
}

// sameNetwork reports whether this process is in the network namespace of process 1. The kernel sends its messages to the first one only
// (security/selinux/netlink.c). Where that cannot be seen, the answer is no.
func sameNetwork(proc string) bool {
	ours, err := os.Readlink(filepath.Join(proc, "self/ns/net"))
	if err != nil {
		return false
	}
	first, err := os.Readlink(filepath.Join(proc, "1/ns/net"))
	return err == nil && ours == first
}

// listen opens a netlink socket that gets the kernel's messages.
func listen() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_SELINUX)
	if err != nil {
		return nil, fmt.Errorf("netlink socket for SELinux: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (groupAVC - 1)}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("netlink socket for SELinux: bind: %w", err)
	}
	return os.NewFile(uintptr(fd), "netlink"), nil
}

func watchNetlink(ctx context.Context, f *os.File, changed func()) error {
	defer f.Close()
	stop := context.AfterFunc(ctx, func() { f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	changed()
	buf := make([]byte, 4096)
	for {
		n, from, err := receive(conn, buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS): // more came than the socket holds: something has changed
			changed()
		case err != nil:
			return fmt.Errorf("netlink socket for SELinux: %w", err)
		case from == 0 && tellsChange(buf[:n]):
			changed()
		}
	}
}

type readConn interface {
	Read(func(fd uintptr) bool) error
}

// receive takes one datagram, and the port that sent it: 0 is the kernel.
func receive(conn readConn, buf []byte) (n int, from uint32, err error) {
	var recvErr error
	err = conn.Read(func(fd uintptr) bool {
		var sender unix.Sockaddr
		for n, sender, recvErr = unix.Recvfrom(int(fd), buf, 0); recvErr == unix.EINTR; {
			n, sender, recvErr = unix.Recvfrom(int(fd), buf, 0)
		}
		if nl, ok := sender.(*unix.SockaddrNetlink); ok {
			from = nl.Pid
		}
		return recvErr != unix.EAGAIN
	})
	if err == nil {
		err = recvErr
	}
	return max(n, 0), from, err
}

// tellsChange reports whether a datagram holds a message about the mode or the policy.
func tellsChange(b []byte) bool {
	for len(b) >= unix.SizeofNlMsghdr {
		length := int(binary.NativeEndian.Uint32(b))
		if length < unix.SizeofNlMsghdr || length > len(b) {
			return false
		}
		if t := binary.NativeEndian.Uint16(b[4:]); t == msgSetEnforce || t == msgPolicyLoad {
			return true
		}
		b = b[min((length+3)&^3, len(b)):]
	}
	return false
}
