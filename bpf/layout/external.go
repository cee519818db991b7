package layout

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"strings"

	securejoin "github.com/cyphar/filepath-securejoin"
	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/host"
)

// Bounds of what comes from outside.
const (
	maxBTF      = 64 << 20 // bytes; a kernel with everything built in has 10 MB
	maxNotes    = 64 << 10
	maxBanner   = 128 << 20 // bytes of .rodata that are searched
	maxFolders  = 256       // of a BTFHub tree
	btfMagic    = 0xeb9f
	btfHeader   = 24
	btfSection  = ".BTF"
	kernelNotes = "/sys/kernel/notes"
)

// folderPaths are where BTF of a kernel is looked for in a folder of an administrator's, %s its release. ELF files or bare BTF, by what is in them.
var folderPaths = []string{"%s.btf", "vmlinux-%s"}

// externalPaths are where the packages of distributions and libbpf (btf__load_vmlinux_btf) have it.
var externalPaths = []string{
	"/boot/btf-%s",
	"/boot/btf/%s.btf",
	"/boot/vmlinux-%s",
	"/lib/modules/%s/vmlinux-%s",
	"/lib/modules/%s/vmlinux",
	"/lib/modules/%s/build/vmlinux",
	"/usr/lib/modules/%s/kernel/vmlinux",
	"/usr/lib/debug/boot/vmlinux-%s",
	"/usr/lib/debug/boot/vmlinux-%s.debug",
	"/usr/lib/debug/lib/modules/%s/vmlinux",
	"/usr/lib/debug/lib/modules/%s/vmlinux.debug",
}

// external is a file that may have the BTF of a kernel.
type external struct {
	name string
	file *os.File
	elf  *elf.File // nil: bare BTF
}

func (e *external) close() { e.file.Close() }

// externalFiles lists where BTF of the release is looked for: in the folder, in ExternalDir, then where others put it.
func externalFiles(r host.Root, folder, release string) ([]string, error) {
	var names []string
	for _, dir := range []string{folder, ExternalDir} {
		if dir == "" {
			continue
		}
		for _, p := range folderPaths {
			names = append(names, path.Join(dir, strings.ReplaceAll(p, "%s", release)))
		}
		hub, err := hubFiles(r, dir, release)
		if err != nil {
			return nil, err
		}
		names = append(names, hub...)
	}
	for _, p := range externalPaths {
		names = append(names, strings.ReplaceAll(p, "%s", release))
	}
	return names, nil
}

// findExternal gives the first file for the release, nil if there is none, and those that are there and were passed over.
func findExternal(r host.Root, folder, release string) (*external, []*Error, error) {
	names, err := externalFiles(r, folder, release)
	if err != nil {
		return nil, nil, err
	}
	var passed []*Error
	for _, name := range names {
		e, err := openExternal(r, name)
		if absent(err) {
			continue
		}
		if err == nil {
			err = e.sameBuild(r, release)
			e.close()
		}
		if err == nil {
			return e, passed, nil
		}
		var told *Error
		if !errors.As(err, &told) {
			told = &Error{Why: Malformed, From: name, Err: err}
		}
		passed = append(passed, told)
	}
	return nil, passed, nil
}

// hubMachines are BTFHub's names of architectures.
var hubMachines = map[string]string{"amd64": "x86_64", "arm64": "arm64"}

// hubFiles lists the release's files in a tree as BTFHub's archive has it, ID/VERSION_ID/MACHINE/RELEASE.btf, unpacked into dir.
func hubFiles(r host.Root, dir, release string) ([]string, error) {
	var names []string
	ids, err := folders(r, dir)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		versions, err := folders(r, path.Join(dir, id))
		if err != nil {
			return nil, err
		}
		for _, version := range versions {
			names = append(names, path.Join(dir, id, version, hubMachines[runtime.GOARCH], release+".btf"))
		}
	}
	return names, nil
}

func folders(r host.Root, dir string) ([]string, error) {
	entries, err := r.ReadDir(dir)
	if absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && len(names) < maxFolders {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func absent(err error) bool { return errors.Is(err, fs.ErrNotExist) || securejoin.IsNotExist(err) }

// openExternal opens a file and sees that it has BTF, by its header.
func openExternal(r host.Root, name string) (*external, error) {
	real, err := r.Path(name)
	if err != nil {
		return nil, err
	}
	if fi, err := os.Lstat(real); err != nil {
		return nil, err
	} else if !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", name, host.ErrNotRegular)
	}
	f, err := os.OpenFile(real, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	e := &external{name: name, file: f}
	if err := e.check(); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return e, nil
}

func (e *external) check() error {
	magic := make([]byte, 4)
	if _, err := e.file.ReadAt(magic, 0); err != nil {
		return fmt.Errorf("read the first 4 bytes: %w", err)
	}
	if bytes.Equal(magic, []byte(elf.ELFMAG)) {
		var err error
		if e.elf, err = elf.NewFile(e.file); err != nil {
			return err
		}
	}
	from, size, err := e.btf()
	if err != nil {
		return err
	}
	header := make([]byte, btfHeader)
	if _, err := from.ReadAt(header, 0); err != nil {
		return fmt.Errorf("read the %d bytes of the BTF header: %w", btfHeader, err)
	}
	if m := binary.NativeEndian.Uint16(header); m != btfMagic {
		return fmt.Errorf("magic is %#04x, expected %#04x", m, btfMagic)
	}
	if size > maxBTF {
		return fmt.Errorf("%d bytes of BTF, expected %d at most", size, maxBTF)
	}
	return nil
}

// btf gives where the BTF is.
func (e *external) btf() (io.ReaderAt, int64, error) {
	if e.elf == nil {
		fi, err := e.file.Stat()
		if err != nil {
			return nil, 0, err
		}
		return e.file, fi.Size(), nil
	}
	s := e.elf.Section(btfSection)
	if s == nil || s.Type == elf.SHT_NOBITS {
		return nil, 0, fmt.Errorf("no section %s", btfSection)
	}
	return s, int64(s.FileSize), nil
}

// sameBuild compares the build id of an ELF file with that of the running kernel, where both have one: then it is the very same build, or
// it is not. Otherwise the release in the file's name is what is trusted, and sameRelease and contradiction are asked when it is read.
func (e *external) sameBuild(r host.Root, release string) error {
	if e.elf == nil || !running(r, release) {
		return nil
	}
	b, err := r.ReadFile(kernelNotes, maxNotes)
	if err != nil {
		return nil //nolint:nilerr // a kernel that does not tell
	}
	ours, theirs := buildID(b, binary.NativeEndian), e.buildID()
	if ours != "" && theirs != "" && ours != theirs {
		return &Error{Why: OtherRelease, From: e.name, Detail: "build id " + theirs + ", the running kernel has " + ours}
	}
	return nil
}

// running reports whether the release is that of the kernel that runs here.
func running(r host.Root, release string) bool {
	var u unix.Utsname
	return r.Live() && unix.Uname(&u) == nil && unix.ByteSliceToString(u.Release[:]) == release
}

func (e *external) buildID() string {
	for _, s := range e.elf.Sections {
		if s.Type != elf.SHT_NOTE || s.FileSize > maxNotes {
			continue
		}
		if b, err := section(s, maxNotes); err == nil {
			if id := buildID(b, e.elf.ByteOrder); id != "" {
				return id
			}
		}
	}
	return ""
}

// section reads one, uncompressed, of at most limit bytes.
func section(s *elf.Section, limit int64) ([]byte, error) {
	if s.Type == elf.SHT_NOBITS {
		return nil, fmt.Errorf("section %s: no bytes in the file", s.Name)
	}
	b, err := io.ReadAll(io.LimitReader(s.Open(), limit+1))
	if err != nil {
		return nil, fmt.Errorf("section %s: %w", s.Name, err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("section %s: %w: more than %d bytes", s.Name, host.ErrTooLarge, limit)
	}
	return b, nil
}

const noteGNUBuildID = 3 // NT_GNU_BUILD_ID, elf(5)

// buildID finds the GNU build id in notes, in hexadecimal; "" if there is none.
func buildID(b []byte, order binary.ByteOrder) string {
	for len(b) >= 12 {
		name, desc, kind := uint64(order.Uint32(b)), uint64(order.Uint32(b[4:])), order.Uint32(b[8:])
		b = b[12:]
		at := (name + 3) &^ 3
		end := at + (desc+3)&^3
		if at+desc > uint64(len(b)) {
			return ""
		}
		if kind == noteGNUBuildID && name == 4 && string(b[:4]) == "GNU\x00" {
			return hex.EncodeToString(b[at : at+desc])
		}
		b = b[min(end, uint64(len(b))):]
	}
	return ""
}

// banner begins what each kernel says first (init/version.c), its release following.
const banner = "Linux version "

// sameRelease looks for the kernel's banner in an ELF file. A file without one (debug files have no .rodata) is trusted by its name.
func (e *external) sameRelease(release string) error {
	if e.elf == nil {
		return nil
	}
	s := e.elf.Section(".rodata")
	if s == nil || s.Type == elf.SHT_NOBITS {
		return nil
	}
	b, err := section(s, maxBanner)
	if err != nil {
		return err
	}
	// "Linux version %s (…)" is a format of others.
	for rest := b; ; {
		i := bytes.Index(rest, []byte(banner))
		if i < 0 {
			return nil
		}
		rest = rest[i+len(banner):]
		said, _, ok := bytes.Cut(rest[:min(len(rest), 66)], []byte(" "))
		if ok && host.CheckRelease(string(said)) == nil && string(said) != release {
			return &Error{Why: OtherRelease, From: e.name, Detail: "it says " + banner + string(said) + ", expected " + release}
		} else if ok && string(said) == release {
			return nil
		}
	}
}

// readExternal reads the BTF of a file for the release.
func readExternal(r host.Root, name, release string) ([]byte, error) {
	e, err := openExternal(r, name)
	if err != nil {
		return nil, &Error{Why: Malformed, From: name, Err: err}
	}
	defer e.close()
	if err := e.sameRelease(release); err != nil {
		return nil, err
	}
	from, size, err := e.btf()
	if err != nil {
		return nil, &Error{Why: Malformed, From: name, Err: err}
	}
	b, err := io.ReadAll(io.NewSectionReader(from, 0, size))
	if err != nil {
		return nil, &Error{Why: Malformed, From: name, Err: err}
	}
	return b, nil
}
