// Package debiankernel gives tests the header packages of Debian's kernels, and the kernels, as the machine's package sources have them.
package debiankernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/ampconnector/amp/internal/host"
)

// suites are those of the lab's matrix. The header packages of one are downloaded once (10 to 15 MB) and kept below $AMP_CACHE.
var suites = []string{"bookworm", "bullseye", "trixie", "sid"}

// suitesVariable names the suites that are to be had beside the first: their names, or all.
const suitesVariable = "AMP_LAYOUT_SUITES"

// Suites are those that are asked for: make test has the first.
func Suites() []string {
	asked := strings.Split(os.Getenv(suitesVariable), ",")
	return slices.DeleteFunc(slices.Clone(suites), func(s string) bool {
		return s != suites[0] && !slices.Contains(asked, s) && !slices.Contains(asked, "all")
	})
}

// Kernel is a root with the header packages of a suite's kernel.
type Kernel struct {
	Root    host.Root
	Release string
	Headers *host.Headers

	suite string
}

func needTools(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("unpacks 60 MB of headers: not with -short")
	}
	if runtime.GOARCH != "amd64" {
		t.Skipf("the kernels are of amd64, this is %s", runtime.GOARCH)
	}
	for _, tool := range []string{"apt-get", "apt-cache", "dpkg-deb", "tar", "make", "gcc", "xz"} {
		if _, err := exec.LookPath(tool); err != nil {
			unable(t, err)
		}
	}
}

// unable skips for want of something, which must not be wanting where the whole is tested.
func unable(t testing.TB, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("CI needs make, gcc, xz, apt and its package sources: %v", err)
	}
	t.Skip(err)
}

// Open gives the kernel of a suite. What is kept of it is renewed when it is deleted.
func Open(t testing.TB, suite string) Kernel {
	t.Helper()
	needTools(t)
	kept := filepath.Join(CacheDir(t), "headers-"+suite)
	if _, err := os.Stat(kept); err != nil {
		download(t, suite, kept)
	}
	dir := t.TempDir()
	debs, err := filepath.Glob(filepath.Join(kept, "*.deb"))
	if err != nil || len(debs) != 3 {
		t.Fatalf("%s has %d packages (error %v), expected 3: delete it, so that it is made anew", kept, len(debs), err)
	}
	link, err := Tree(t.Context(), dir, debs)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // the compiler is a stranger there
		t.Fatal(err)
	}
	release := filepath.Base(filepath.Dir(link))
	return Kernel{Root: host.At(dir), Release: release, Headers: &host.Headers{Link: link, Release: release}, suite: suite}
}

// AddTool has a root have one of the machine's tools, by its name.
func AddTool(t testing.TB, r host.Root, name string) {
	t.Helper()
	if err := addTool(r.Dir(), name); err != nil {
		t.Fatal(err)
	}
}

// CacheDir is where downloads are kept.
func CacheDir(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("AMP_CACHE"); dir != "" {
		return dir
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "amp-lab")
}

func tool(t testing.TB, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	var errs bytes.Buffer
	cmd.Dir, cmd.Stderr = dir, &errs
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, errs.String())
	}
	return string(out)
}

// archiveKeys are those of all suites.
const archiveKeys = "/usr/share/keyrings/debian-archive-keyring.gpg"

// apt asks the machine's package sources, for a suite that may be another than its own.
type apt struct {
	t       testing.TB
	options []string
}

var dependency = regexp.MustCompile(`(?m)^ *\|?Depends: (\S+)$`)

func newApt(t testing.TB, suite string) apt {
	t.Helper()
	own := regexp.MustCompile(`(?m)^VERSION_CODENAME=(\w+)`).FindSubmatch(mustRead(t, "/etc/os-release"))
	if own == nil {
		unable(t, errors.New("/etc/os-release: no VERSION_CODENAME: the machine's packages are not Debian's"))
	}
	targets := tool(t, "", "apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages")
	var list []string
	for line := range strings.Lines(targets) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		rest, ok := strings.CutPrefix(f[1], string(own[1]))
		if !ok || rest != "" && suite == "sid" { // which has no updates beside it
			continue
		}
		list = append(list, fmt.Sprintf("deb [signed-by=%s] %s %s %s", archiveKeys, f[0], suite+rest, f[2]))
	}
	slices.Sort(list)
	dir := t.TempDir()
	put(t, filepath.Join(dir, "sources.list"), []byte(strings.Join(slices.Compact(list), "\n")+"\n"))
	for _, d := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	a := apt{t, []string{"-q", "-o", "Dir::Etc::SourceList=" + dir + "/sources.list", "-o", "Dir::Etc::SourceParts=-",
		"-o", "Dir::State::Lists=" + dir + "/lists", "-o", "Dir::Cache=" + dir + "/cache", "-o", "APT::Sandbox::User=root"}}
	if out, err := exec.Command("apt-get", append(slices.Clone(a.options), "update")...).CombinedOutput(); err != nil {
		unable(t, fmt.Errorf("package lists of %s: %w\n%s", suite, err, out))
	}
	return a
}

// depends are the names that a package depends on.
func (a apt) depends(name string) []string {
	a.t.Helper()
	var names []string
	for _, m := range dependency.FindAllStringSubmatch(tool(a.t, "", "apt-cache", append(slices.Clone(a.options), "depends", name)...), -1) {
		names = append(names, m[1])
	}
	return names
}

// one is the dependency that begins and ends so.
func (a apt) one(of, prefix, suffix string) string {
	a.t.Helper()
	for _, name := range a.depends(of) {
		if strings.HasPrefix(name, prefix) && strings.HasSuffix(name, suffix) {
			return name
		}
	}
	return ""
}

// download keeps the header packages of the suite's kernel.
func download(t testing.TB, suite, kept string) {
	t.Helper()
	a := newApt(t, suite)
	headers := a.one("linux-headers-amd64", "linux-headers-", "-amd64")
	a.keep(kept, headers, a.one(headers, "linux-headers-", "-common"), a.one(headers, "linux-kbuild-", ""))
}

// keep downloads packages into a folder. Tests of two rooms may do so at once; who comes second has made what is there.
func (a apt) keep(kept string, names ...string) {
	t := a.t
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(kept), 0o755); err != nil {
		t.Fatal(err)
	}
	work, err := os.MkdirTemp(filepath.Dir(kept), ".headers-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(work)
	tool(t, work, "apt-get", append(append(slices.Clone(a.options), "download"), names...)...)
	if err := os.Chmod(work, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(work, kept); err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
}

// Unpack gives a folder with packages of the kernel's suite in it, which are not installed: their files alone. They are kept as the headers are.
func (k Kernel) Unpack(t testing.TB, names ...string) string {
	t.Helper()
	kept := filepath.Join(CacheDir(t), strings.Join(names, "-")+"-"+k.suite)
	if _, err := os.Stat(kept); err != nil {
		newApt(t, k.suite).keep(kept, names...)
	}
	debs, err := filepath.Glob(filepath.Join(kept, "*.deb"))
	if err != nil || len(debs) != len(names) {
		t.Fatalf("%s has %d packages (error %v), expected %d: delete it, so that it is made anew", kept, len(debs), err, len(names))
	}
	dir := t.TempDir()
	for _, deb := range debs {
		tool(t, "", "dpkg-deb", "-x", deb, dir)
	}
	return dir
}

// Image downloads the kernel itself, and gives the ELF file that is packed in it.
func (k Kernel) Image(t testing.TB) []byte {
	t.Helper()
	a := newApt(t, k.suite)
	image := "linux-image-" + k.Release
	if binary := a.one(image, "linux-binary-", ""); binary != "" { // since 7.2 the modules are in a package of their own
		image = binary
	}
	dir := t.TempDir()
	tool(t, dir, "apt-get", append(slices.Clone(a.options), "download", image)...)
	tool(t, dir, "sh", "-c", `for deb in *.deb; do dpkg-deb --fsys-tarfile "$deb" | tar -x --wildcards '*/vmlinuz*'; done`)
	for _, pattern := range []string{"boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz"} {
		if found, _ := filepath.Glob(filepath.Join(dir, pattern)); len(found) == 1 {
			return unpack(t, mustRead(t, found[0]))
		}
	}
	t.Fatalf("%s has no kernel", image)
	return nil
}

// unpackers are programs by the bytes that what they unpack begins with.
var unpackers = map[string]string{"\x1f\x8b": "gzip", "\xfd7zXZ\x00": "xz", "\x28\xb5\x2f\xfd": "zstd", "\x02\x21\x4c\x18": "lz4"}

// unpack gives the ELF file in a bzImage (Documentation/arch/x86/boot.rst). Its size follows it, which the unpackers complain of.
func unpack(t testing.TB, b []byte) []byte {
	t.Helper()
	const sectors, offset, length = 0x1f1, 0x248, 0x24c
	from := (int(b[sectors])+1)*512 + int(binary.LittleEndian.Uint32(b[offset:]))
	packed := b[from : from+int(binary.LittleEndian.Uint32(b[length:]))]
	for magic, name := range unpackers {
		if !bytes.HasPrefix(packed, []byte(magic)) {
			continue
		}
		if _, err := exec.LookPath(name); err != nil {
			unable(t, err)
		}
		cmd := exec.Command(name, "-dcq")
		cmd.Stdin = bytes.NewReader(packed[:len(packed)-4])
		out, err := cmd.Output()
		if err != nil || !bytes.HasPrefix(out, []byte("\x7fELF")) {
			t.Fatalf("%s unpacked %d bytes of the kernel, which begin with %.4q (%v)", name, len(out), out, err)
		}
		return out
	}
	t.Fatalf("the kernel is packed in an unknown way: % x", packed[:8])
	return nil
}

func put(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, b, 0o644)); err != nil {
		t.Fatal(err)
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
