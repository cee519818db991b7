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
	name   string
	file   *os.File
	elf    *elf.File // nil: bare BTF
	packed bool      // bare BTF in an archive
}

func (e *external) close() { e.file.Close() }

// findExternal gives the first file for the release, nil if there is none, and those that are there and were passed over: of the folders for them,
// then where others put it.
func (s Store) findExternal(r host.Root, release string) (*external, []*Error, error) {
	var passed []*Error
	if e := s.noFolder(r); e != nil {
		passed = append(passed, e)
	}
	for _, folder := range s.folders() {
		names, err := folderFiles(r, folder, release)
		if err != nil {
			return nil, nil, err
		}
		e, others := firstOf(r, release, names, onlyRoot)
		if passed = append(passed, others...); e != nil {
			return e, passed, nil
		}
	}
	names := make([]string, 0, len(externalPaths))
	for _, p := range externalPaths {
		names = append(names, strings.ReplaceAll(p, "%s", release))
	}
	e, others := firstOf(r, release, names, func(host.Root, string) error { return nil })
	return e, append(passed, others...), nil
}

// firstOf gives the first of the files that is for the release and may be used, and those that are there and were passed over.
func firstOf(r host.Root, release string, names []string, may func(r host.Root, name string) error) (e *external, passed []*Error) {
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
			err = may(r, name)
		}
		if err == nil {
			return e, passed
		}
		var told *Error
		if !errors.As(err, &told) {
			told = &Error{Why: Malformed, From: name, Err: err}
		}
		passed = append(passed, told)
	}
	return nil, passed
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
	e := &external{name: name, file: f, packed: strings.HasSuffix(name, packedTail)}
	if err := e.check(); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return e, nil
}

// check looks at how the file begins, and that it does not end early: one that is damaged inside shows when it is read. What is in an archive shows
// when it is unpacked.
func (e *external) check() error {
	magic := make([]byte, len(xzMagic))
	if _, err := e.file.ReadAt(magic, 0); err != nil {
		return fmt.Errorf("read the first %d bytes: %w", len(magic), err)
	}
	if e.packed {
		if string(magic) != xzMagic {
			return fmt.Errorf("it begins with %x, expected %x", magic, xzMagic)
		}
		return wholeArchive(e.file)
	}
	if bytes.HasPrefix(magic, []byte(elf.ELFMAG)) {
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
	if ends := endOfBTF(header); ends > uint64(size) {
		return fmt.Errorf("%d bytes of BTF, of which the header says %d", size, ends)
	}
	return nil
}

// endOfBTF is where types and strings end, as the header says (struct btf_header, include/uapi/linux/btf.h).
func endOfBTF(header []byte) uint64 {
	field := func(at int) uint64 { return uint64(binary.NativeEndian.Uint32(header[at:])) }
	size, types, typesSize, strs, strsSize := field(4), field(8), field(12), field(16), field(20)
	return size + max(types+typesSize, strs+strsSize)
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
	b, err := e.read(release)
	if err != nil {
		return nil, &Error{Why: Malformed, From: name, Err: err}
	}
	return b, nil
}

func (e *external) read(release string) ([]byte, error) {
	if e.packed {
		return unpack(e.file, members(release))
	}
	from, size, err := e.btf()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(from, 0, size))
}
