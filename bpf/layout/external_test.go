package layout

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/host"
)

const kernelBTF = "/sys/kernel/btf/vmlinux"

// kernelTypes is the BTF of the kernel that runs the test.
func kernelTypes(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile(kernelBTF)
	if err != nil {
		t.Skipf("needs a kernel with BTF: %v", err)
	}
	return b
}

func runningRelease(t testing.TB) string {
	t.Helper()
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	return unix.ByteSliceToString(u.Release[:])
}

func put(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, b, 0o644)); err != nil {
		t.Fatal(err)
	}
}

func TestExternalFiles(t *testing.T) {
	const release = "6.1.0-56-amd64"
	types, some := kernelTypes(t), someTypes(t)
	for _, c := range []struct {
		name, file string
		content    []byte
		origin     Origin
		passed     Why
		err        Why
	}{
		{"none", "", nil, None, "", NoHeaders},
		{"an administrator's", "/var/lib/cisco/amp/btf/" + release + ".btf", types, External, "", ""},
		{"of BTFHub", "/var/lib/cisco/amp/btf/debian/12/" + hubMachines[runtime.GOARCH] + "/" + release + ".btf", types, External, "", ""},
		{"of the policy's folder", "/srv/btf/" + release + ".btf", types, External, "", ""},
		{"of BTFHub in the policy's folder", "/srv/btf/debian/12/" + hubMachines[runtime.GOARCH] + "/" + release + ".btf", types, External, "", ""},
		{"damaged in the policy's folder", "/srv/btf/" + release + ".btf", nil, None, Malformed, NoHeaders},
		{"packed", "/srv/btf/" + release + ".btf.tar.xz", archive(t, release+".btf", some), External, "", ""},
		{"packed in BTFHub's tree", "/srv/btf/centos/7/" + hubMachines[runtime.GOARCH] + "/" + release + ".btf.tar.xz", archive(t, "./"+release+".btf", some), External, "", ""},
		{"of another release, packed", "/srv/btf/" + release + ".btf.tar.xz", archive(t, "6.1.0-55-amd64.btf", some), External, "", Malformed},
		{"packed, and not BTF", "/srv/btf/" + release + ".btf.tar.xz", archive(t, release+".btf", []byte(strings.Repeat("x", 100))), External, "", Malformed},
		{"half of the archive", "/srv/btf/" + release + ".btf.tar.xz", half(archive(t, release+".btf", some)), None, Malformed, NoHeaders},
		{"damaged in an archive", "/srv/btf/" + release + ".btf.tar.xz", turned(archive(t, release+".btf", some)), External, "", Malformed},
		{"an archive with zeros behind it", "/srv/btf/" + release + ".btf.tar.xz", append(archive(t, release+".btf", some), make([]byte, 8)...), External, "", ""},
		{"the beginning of an archive", "/srv/btf/" + release + ".btf.tar.xz", []byte(xzMagic), None, Malformed, NoHeaders},
		{"no archive", "/srv/btf/" + release + ".btf.tar.xz", types, None, Malformed, NoHeaders},
		{"beside the kernel", "/boot/btf-" + release, types, External, "", ""},
		{"of another release", "/boot/btf-6.1.0-55-amd64", types, None, "", NoHeaders},
		{"empty", "/boot/btf-" + release, nil, None, Malformed, NoHeaders},
		{"no BTF", "/boot/btf-" + release, []byte(strings.Repeat("x", 100)), None, Malformed, NoHeaders},
		{"half of it", "/boot/btf-" + release, types[:len(types)/2], None, Malformed, NoHeaders},
		{"damaged inside", "/boot/btf-" + release, turned(types), External, "", Malformed},
		{"without its last byte", "/boot/btf-" + release, types[:len(types)-1], None, Malformed, NoHeaders},
		{"ELF without", "/boot/vmlinux-" + release, mustRead(t, "/proc/self/exe"), None, Malformed, NoHeaders},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if c.file != "" {
				put(t, filepath.Join(dir, c.file), c.content)
			}
			if err := os.MkdirAll(filepath.Join(dir, "/srv/btf"), 0o755); err != nil {
				t.Fatal(err)
			}
			s := Store{Dir: Dir, Folder: "/srv/btf"}
			found := s.Find(host.At(dir), release, nil)
			if !found.Known() || found.Value.Origin != c.origin {
				t.Fatalf("found %+v, expected %s", found, c.origin)
			}
			if c.origin == External && found.Value.From != c.file {
				t.Errorf("from %s, expected %s", found.Value.From, c.file)
			}
			if c.passed != "" && (len(found.Value.Passed) != 1 || found.Value.Passed[0].Why != c.passed) {
				t.Errorf("passed over %v, expected one as %s", found.Value.Passed, c.passed)
			}
			spec, _, err := s.Open(context.Background(), host.At(dir), release, nil)
			var e *Error
			if errors.As(err, &e); c.err == "" && (err != nil || spec == nil) || c.err != "" && (e == nil || e.Why != c.err) {
				t.Errorf("opened with %v, expected %q", err, c.err)
			}
		})
	}
}

func mustRead(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// note is one of a notes section.
func note(name string, kind uint32, desc []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(name)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(desc)))
	b = binary.LittleEndian.AppendUint32(b, kind)
	b = append(b, name...)
	b = append(b, make([]byte, -len(b)&3)...)
	b = append(b, desc...)
	return append(b, make([]byte, -len(b)&3)...)
}

// part is a section of an ELF file.
type part struct {
	name string
	kind elf.SectionType
	b    []byte
}

// elfFile makes an ELF file of sections, and no more.
func elfFile(t testing.TB, parts ...part) []byte {
	t.Helper()
	names := part{name: ".shstrtab", kind: elf.SHT_STRTAB, b: []byte{0}}
	parts = append([]part{{}}, parts...)
	var starts []uint32
	for _, p := range append(parts[:len(parts):len(parts)], names) {
		starts = append(starts, uint32(len(names.b)))
		names.b = append(names.b, p.name+"\x00"...)
	}
	var body bytes.Buffer
	headers := make([]elf.Section64, 0, len(parts)+1)
	const size = 64
	for i, p := range append(parts, names) {
		headers = append(headers, elf.Section64{Name: starts[i], Type: uint32(p.kind), Off: uint64(size + body.Len()), Size: uint64(len(p.b)), Addralign: 4})
		body.Write(append(p.b, make([]byte, -len(p.b)&7)...))
	}
	h := elf.Header64{
		Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1, Shoff: uint64(size + body.Len()), Ehsize: size,
		Shentsize: 64, Shnum: uint16(len(headers)), Shstrndx: uint16(len(headers) - 1),
	}
	copy(h.Ident[:], elf.ELFMAG+string([]byte{byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1}))
	var b bytes.Buffer
	if err := errors.Join(binary.Write(&b, binary.LittleEndian, h), binary.Write(&b, binary.LittleEndian, body.Bytes()),
		binary.Write(&b, binary.LittleEndian, headers)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A kernel's ELF file is believed by its build id where the running kernel tells its own, and by its banner.
func TestELFFiles(t *testing.T) {
	const release = "6.1.0-56-amd64"
	types := kernelTypes(t)
	live := host.At("/")
	notes, err := live.ReadFile(kernelNotes, maxNotes)
	ours := buildID(notes, binary.NativeEndian)
	if err != nil || ours == "" {
		t.Skipf("the running kernel tells no build id: %v", err)
	}
	said := func(release string) []byte {
		return []byte("\x00Linux version %s (%s)\x00Linux version " + release + " (x@y)\n\x00Linux version\x00")
	}
	for _, c := range []struct {
		name        string
		parts       []part
		build, open Why
	}{
		{"this build", []part{{".BTF", elf.SHT_PROGBITS, types}, {".notes", elf.SHT_NOTE, notes}, {".rodata", elf.SHT_PROGBITS, said(release)}}, "", ""},
		{"another build", []part{{".BTF", elf.SHT_PROGBITS, types}, {".notes", elf.SHT_NOTE, note("GNU\x00", 3, []byte("other"))}}, OtherRelease, ""},
		{"another release", []part{{".BTF", elf.SHT_PROGBITS, types}, {".rodata", elf.SHT_PROGBITS, said("6.1.0-55-amd64")}}, "", OtherRelease},
		{"no word of itself", []part{{".BTF", elf.SHT_PROGBITS, types}, {".rodata", elf.SHT_PROGBITS, []byte("x")}}, "", ""},
		{"bare", []part{{".BTF", elf.SHT_PROGBITS, types}}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			name := "/boot/vmlinux-" + release
			put(t, filepath.Join(dir, name), elfFile(t, c.parts...))
			r := host.At(dir)
			e, err := openExternal(r, name)
			if err != nil {
				t.Fatal(err)
			}
			defer e.close()
			var told *Error
			err = e.sameBuild(live, runningRelease(t))
			if errors.As(err, &told); (err != nil) != (c.build != "") || told != nil && told.Why != c.build {
				t.Errorf("compared with the running kernel: %v, expected %q", err, c.build)
			}
			b, err := readExternal(r, name, release)
			if errors.As(err, &told); (err != nil) != (c.open != "") || told != nil && err != nil && told.Why != c.open {
				t.Errorf("read: %v, expected %q", err, c.open)
			}
			if err == nil && !bytes.Equal(b, types) {
				t.Error("the BTF that was read is another")
			}
		})
	}
}

func TestBuildID(t *testing.T) {
	xen, id := note("Xen\x00", 6, []byte("linux-2.6")), note("GNU\x00", 3, []byte{0xab, 0xcd, 0xef})
	for _, c := range []struct {
		name string
		b    []byte
		want string
	}{
		{"one", id, "abcdef"}, {"after another", append(xen, id...), "abcdef"}, {"none", xen, ""}, {"nothing", nil, ""},
		{"cut off", id[:len(id)-3], ""}, {"too long", note("GNU\x00", 3, nil)[:12], ""},
	} {
		if got := buildID(c.b, binary.LittleEndian); got != c.want {
			t.Errorf("%s: %q, expected %q", c.name, got, c.want)
		}
	}
}

// The running kernel's own BTF cannot be contradicted by it, and that of another is.
func TestContradiction(t *testing.T) {
	spec, err := parse(kernelTypes(t))
	if err != nil {
		t.Fatal(err)
	}
	r, release := host.At("/"), runningRelease(t)
	if err := contradiction(r, release, kernelBTF, spec); err != nil {
		t.Error(err)
	}
	if _, err := r.ReadFile("/sys/kernel/slab/filp/object_size", 64); err != nil {
		t.Skipf("needs root and the SLUB allocator: %v", err)
	}
	real := slabs
	defer func() { slabs = real }()
	slabs = []struct{ cache, structure string }{{"filp", "inode"}}
	var e *Error
	if err := contradiction(r, release, kernelBTF, spec); !errors.As(err, &e) || e.Why != Contradicted {
		t.Errorf("%v, expected %s", err, Contradicted)
	}
	if err := contradiction(r, "0.1", kernelBTF, spec); err != nil {
		t.Errorf("another kernel is contradicted by the running one: %v", err)
	}
}

// Debian 12's struct file has 232 bytes, in a cache of 256 that it shares.
func TestContradictionOfSharedCaches(t *testing.T) {
	for _, c := range []struct {
		size, says   uint64
		shared, want bool
	}{{232, 232, false, false}, {232, 256, false, true}, {232, 256, true, false}, {264, 256, true, true}, {264, 256, false, true}} {
		if got := contradicts(c.size, c.says, c.shared); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
