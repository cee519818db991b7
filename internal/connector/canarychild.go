package connector

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/monitor"
)

// ActAsCanary is the canary's process: "ampdaemon canary TOKEN DIRECTORY". It waits for a line on in, so that whoever started it can
// learn its number first, does one thing of each kind that it may do without special rights, names on out the kinds that it did,
// and ends. What it could not do, as on a file system without hard links, is not named.
func ActAsCanary(args []string, in io.Reader, out io.Writer) error {
	if len(args) != 2 {
		return errors.New("canary: expected a token and a directory")
	}
	if _, err := bufio.NewReader(in).ReadString('\n'); err != nil {
		return err // who started it is gone
	}
	removeLeft(args[1], time.Now().Add(-2*actPatience))
	var did monitor.Kinds
	did |= actOnFiles(filepath.Join(args[1], canaryPrefix+args[0]))
	did |= actOnNetwork()
	_, err := fmt.Fprintln(out, strings.Join(names(did), " "))
	return err
}

// canaryPrefix begins the names of the canary's files.
const canaryPrefix = ".canary-"

// removeLeft removes the files of canaries that were killed while they acted: none that acts still has one that was changed before that time.
func removeLeft(dir string, changed time.Time) {
	left, err := filepath.Glob(filepath.Join(dir, canaryPrefix+"*"))
	if err != nil {
		return
	}
	for _, path := range left {
		if fi, err := os.Lstat(path); err == nil && fi.ModTime().Before(changed) {
			os.Remove(path)
		}
	}
}

// actOnFiles makes a file at path and does with it all that can be done with a file. Nothing is left of it.
func actOnFiles(path string) (did monitor.Kinds) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0
	}
	did |= monitor.KindsOf(monitor.FileCreate)
	moved, linked, copied := path+".moved", path+".linked", path+".copied"
	if _, err := f.Write(make([]byte, os.Getpagesize())); err != nil {
		f.Close()
		os.Remove(path)
		return did
	}
	if copyFile(f, copied) == nil {
		did |= monitor.KindsOf(monitor.FileCopy)
	}
	if mapExecutable(f) == nil {
		did |= monitor.KindsOf(monitor.FileMap)
	}
	if f.Close() == nil {
		did |= monitor.KindsOf(monitor.FileWrite)
	}
	for _, act := range []struct {
		kind monitor.Kind
		do   func() error
	}{
		{monitor.FileAttributes, func() error { return os.Chmod(path, 0o640) }},
		{monitor.FileLink, func() error { return os.Link(path, linked) }},
		{monitor.FileRename, func() error { return os.Rename(path, moved) }},
		{monitor.FileDelete, func() error { return os.Remove(moved) }},
	} {
		if act.do() == nil {
			did |= monitor.KindsOf(act.kind)
		}
	}
	for _, left := range []string{path, linked, copied} {
		os.Remove(left)
	}
	return did
}

// copyFile copies inside the kernel: copy_file_range(2).
func copyFile(from *os.File, to string) error {
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	start := int64(0)
	_, err = unix.CopyFileRange(int(from.Fd()), &start, int(f.Fd()), nil, os.Getpagesize(), 0)
	return err
}

func mapExecutable(f *os.File) error {
	b, err := unix.Mmap(int(f.Fd()), 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE)
	if err != nil {
		return err
	}
	return unix.Munmap(b)
}

// actOnNetwork opens a connection to itself over the loopback interface and ends it.
func actOnNetwork() (did monitor.Kinds) {
	ctx, cancel := context.WithTimeout(context.Background(), canaryPatience)
	defer cancel()
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0
	}
	defer l.Close()
	did |= monitor.KindsOf(monitor.Listen)
	c, err := new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
	if err != nil {
		return did
	}
	defer c.Close()
	if s, err := l.Accept(); err == nil {
		did |= monitor.KindsOf(monitor.FlowOpen, monitor.FlowClose)
		s.Close()
	}
	return did
}

func names(kinds monitor.Kinds) (names []string) {
	for k := range kinds.All {
		names = append(names, k.String())
	}
	return names
}
