package selinux

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	goselinux "github.com/opencontainers/selinux/go-selinux"

	"github.com/ampconnector/amp/internal/host"
)

// ErrDisabled is the Err of readings that have no answer because SELinux is disabled.
var ErrDisabled = errors.New("SELinux is disabled")

// errNotMounted says that the kernel has SELinux on, and the file system that answers for it is not there, as in many containers.
var errNotMounted = errors.New("SELinux is enabled, but its file system is not mounted here")

// kernel asks the running kernel. Its fields are where and how, so that tests can put recorded answers in their place: a plain file
// cannot stand for a transaction file of selinuxfs.
type kernel struct {
	selinuxfs string // mount point, "/sys/fs/selinux" (fixed since Linux 3.0 and libselinux 2.1)
	proc      string
	cgroup    string
	transact  func(file, request string) (answer string, err error)
	fileLabel func(path string) (context string, err error)
}

// running is the kernel that this program runs on.
func running() kernel {
	return kernel{"/sys/fs/selinux", "/proc", "/sys/fs/cgroup", transact, goselinux.FileLabel}
}

// transact writes a request to a transaction file of selinuxfs and reads the answer from the same descriptor, where the kernel keeps it
// (fs/libfs.c, simple_transaction_get). A descriptor takes one request; a second one is answered with EBUSY.
func transact(file, request string) (string, error) {
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if _, err := f.WriteString(request); err != nil {
		return "", err
	}
	b := make([]byte, 4096) // SIMPLE_TRANSACTION_LIMIT is below a page
	n, err := f.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return string(bytes.TrimRight(b[:n], "\x00")), nil
}

// readSmall reads a file of a pseudo file system, which has no size to go by.
func readSmall(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxContext+1))
	if err != nil {
		return "", err
	}
	if len(b) > maxContext {
		return "", fmt.Errorf("read %s: longer than %d bytes", path, maxContext)
	}
	return strings.TrimSpace(strings.TrimRight(string(b), "\x00\n")), nil
}

// mode is the mode of the running kernel.
func (k kernel) mode() host.Reading[Mode] {
	from := filepath.Join(k.selinuxfs, "enforce")
	switch s, err := readSmall(from); {
	case errors.Is(err, fs.ErrNotExist):
		return k.modeWithoutFS()
	case err != nil:
		return host.NotKnown[Mode](from, err)
	case s == "0":
		return host.Read(Permissive, from)
	case s == "1":
		return host.Read(Enforcing, from)
	default:
		return host.NotKnown[Mode](from, fmt.Errorf("read %s: %.40q, expected 0 or 1", from, s))
	}
}

// modeWithoutFS tells a kernel without SELinux from one whose selinuxfs is not mounted here: the kernel registers the file system only
// when SELinux is enabled at boot, and takes it back when it is disabled at run time (security/selinux/selinuxfs.c).
func (k kernel) modeWithoutFS() host.Reading[Mode] {
	from := filepath.Join(k.proc, "filesystems")
	f, err := os.Open(from)
	if err != nil {
		return host.NotKnown[Mode](from, err)
	}
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, 64<<10))
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) > 0 && fields[len(fields)-1] == "selinuxfs" {
			return host.NotKnown[Mode](k.selinuxfs, errNotMounted)
		}
	}
	if err := lines.Err(); err != nil {
		return host.NotKnown[Mode](from, err)
	}
	return host.Read(Disabled, from)
}

// denyUnknown reports whether the loaded policy denies the classes and permissions that it does not know.
func (k kernel) denyUnknown() host.Reading[bool] {
	from := filepath.Join(k.selinuxfs, "deny_unknown")
	switch s, err := readSmall(from); {
	case err != nil:
		return host.NotKnown[bool](from, err)
	case s == "0" || s == "1":
		return host.Read(s == "1", from)
	default:
		return host.NotKnown[bool](from, fmt.Errorf("read %s: %.40q, expected 0 or 1", from, s))
	}
}

// number reads a file that holds one decimal number between 1 and max. Its error is fs.ErrNotExist when there is no such file.
func (k kernel) number(max uint64, path ...string) (uint64, error) {
	file := filepath.Join(append([]string{k.selinuxfs}, path...)...)
	s, err := readSmall(file)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n == 0 || n > max {
		return 0, fmt.Errorf("read %s: %.40q, expected a number from 1 to %d", file, s, max)
	}
	return n, nil
}

// class is the number of a class in the loaded policy.
func (k kernel) class(name string) (uint16, error) {
	n, err := k.number(1<<16-1, "class", name, "index")
	return uint16(n), err
}

// permission is the bit of a permission of a class in the loaded policy.
func (k kernel) permission(class, name string) (uint32, error) {
	n, err := k.number(32, "class", class, "perms", name)
	if err != nil {
		return 0, err
	}
	return 1 << (n - 1), nil
}
