package lab

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// imageFiles are put into every guest as they are.
//
//go:embed all:guestfiles
var imageFiles embed.FS

// imageRecipe is raised when image.go makes something else of the same row and files.
const imageRecipe = 1

// basePackages are what a guest needs to boot and to run the payload.
var basePackages = []string{"systemd-sysv", "udev", "dbus", "kmod", "initramfs-tools", "login", "passwd", "apt"}

// diskMiB is the size of a guest's disk; the file is sparse.
const diskMiB = 2200

// Image is a guest's disk and what boots it.
type Image struct {
	Guest  Guest
	Dir    string // folder that holds all of it
	Disk   string // ext4, without a partition table
	Kernel string
	Initrd string
}

// CacheDir is where images are kept: $AMP_CACHE, or amp-lab in the user's cache folder.
func CacheDir() (string, error) {
	if dir := os.Getenv("AMP_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "amp-lab"), nil
}

// key is a hash of everything that an image is made from, but for the versions that the package sources hold on the day.
func (g Guest) key() (string, error) {
	g.Timeout, g.CPUs, g.MemoryMiB, g.Purpose, g.Counted, g.Cmdline = 0, 0, 0, "", false, nil
	h := sha256.New()
	if err := json.NewEncoder(h).Encode(g); err != nil {
		return "", err
	}
	fmt.Fprintln(h, imageRecipe, diskMiB, basePackages, standIns, elLikePolicy([]string{"file"}))
	if g.BuiltFrom != "" {
		fmt.Fprintln(h, kernelRecipe, kernelConfig)
	}
	err := fs.WalkDir(imageFiles, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := imageFiles.ReadFile(name)
		fmt.Fprintf(h, "%s %d\n%s\n", name, len(b), b)
		return err
	})
	return hex.EncodeToString(h.Sum(nil))[:16], err
}

// BuildImage returns the guest's image from the cache, made now if it is not there. Programs that want the same image wait for one
// another. log gets every command and its output.
func BuildImage(ctx context.Context, g Guest, cache string, log io.Writer) (Image, error) {
	key, err := g.key()
	if err != nil {
		return Image{}, err
	}
	dir := filepath.Join(cache, "images", g.Name+"-"+key)
	img := Image{Guest: g, Dir: dir, Disk: filepath.Join(dir, "disk.img"), Kernel: filepath.Join(dir, "vmlinuz"), Initrd: filepath.Join(dir, "initrd.img")}
	return img, once(dir, func() error {
		fmt.Fprintf(log, "building the image of %s below %s\n", g.Name, dir)
		if err := buildInto(dir, g.Name, func(scratch, made string) error {
			b := &builder{scratch: scratch, kernels: filepath.Join(cache, "kernels"), log: log}
			return b.build(ctx, g, made)
		}); err != nil {
			return fmt.Errorf("image of %s: %w", g.Name, err)
		}
		return nil
	})
}

// once makes dir if it is not there. Programs that want the same at the same time wait for one another.
func once(dir string, build func() error) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	return build()
}

// buildInto has build fill a folder beside dir, made, and renames that, so that dir is there whole or not at all. scratch is gone afterwards. It drops
// what name had before, which is called as dir is, with another key.
func buildInto(dir, name string, build func(scratch, made string) error) error {
	scratch, err := os.MkdirTemp(filepath.Dir(dir), ".building-"+name+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	made := filepath.Join(scratch, "made")
	if err := os.Mkdir(made, 0o755); err != nil {
		return err
	}
	if err := build(scratch, made); err != nil {
		return err
	}
	if err := os.Rename(made, dir); err != nil {
		return err
	}
	old, _ := filepath.Glob(filepath.Join(filepath.Dir(dir), name+"-????????????????"))
	for _, o := range old {
		if o != dir {
			os.RemoveAll(o)
			os.Remove(o + ".lock")
		}
	}
	return nil
}

// builder makes one image.
type builder struct {
	scratch string
	kernels string // folder of the kernels that were built here
	log     io.Writer
}

// run runs a command and returns its standard output; the error has its last line of standard error.
func (b *builder) run(ctx context.Context, tool string, args ...string) (string, error) {
	fmt.Fprintf(b.log, "+ %s %s\n", tool, strings.Join(args, " "))
	var out, errs strings.Builder
	cmd := exec.CommandContext(ctx, tool, args...)
	cmd.Stdout = &out
	cmd.Stderr = io.MultiWriter(&errs, b.log)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive")
	// A tool that is ended in the middle leaves the machine's own /dev, /proc and /sys mounted below the scratch directory, which is deleted then:
	// they are mounted where nobody else sees them. Its children are ended with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Unshareflags = unix.CLONE_NEWNS
	}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", tool, err, lastLine(errs.String()))
	}
	return out.String(), nil
}

// lastLine is the last line of s that is not empty.
func lastLine(s string) string {
	s = strings.TrimRight(s, "\n")
	return s[strings.LastIndexByte(s, '\n')+1:]
}

// build makes the files of an image in dir.
func (b *builder) build(ctx context.Context, g Guest, dir string) error {
	root := filepath.Join(b.scratch, "root")
	for _, step := range []func() error{
		func() error { return b.bootstrap(ctx, g, root, dir) },
		func() error { return b.configure(g, root) },
		func() error { return b.putFiles(root) },
		func() error { return b.rpmHost(ctx, g, root) },
		func() error { return b.confine(ctx, g.SELinux, root) },
		func() error { return takeBoot(root, dir) },
		func() error { return takeSigned(g, root, dir) },
		func() error { return b.disk(ctx, root, filepath.Join(dir, "disk.img")) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// packageSources writes the list of the package sources that a guest is made from, and names its file: those of the machine's own, and a kernel that
// is built here.
func (b *builder) packageSources(ctx context.Context, g Guest) (string, error) {
	all, err := MachineSources("/etc/apt")
	if err != nil {
		return "", err
	}
	own, err := codename("/etc/os-release")
	if err != nil {
		return "", err
	}
	sources, err := ForSuite(all, g.Suite, own)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	for _, s := range sources {
		fmt.Fprintln(&text, s.stanza())
	}
	list := filepath.Join(b.scratch, "guest.sources")
	if err := writeFile(list, text.String(), 0o644); err != nil || g.BuiltFrom == "" {
		return list, err
	}
	kernel, err := b.builtKernel(ctx, g, list)
	if err != nil {
		return "", fmt.Errorf("%s: %w", g.Kernel, err)
	}
	fmt.Fprintln(&text, kernel.stanza())
	return list, writeFile(list, text.String(), 0o644)
}

// bootstrap unpacks the guest's packages into root from the machine's own package sources. The image's own folder gets the headers of its kernel,
// for a guest that wants modules, alone or in a system with what compiles against them.
func (b *builder) bootstrap(ctx context.Context, g Guest, root, dir string) error {
	list, err := b.packageSources(ctx, g)
	if err != nil {
		return err
	}
	options, err := MachineOptions(ctx)
	if err != nil {
		return err
	}
	var common []string
	for _, o := range options {
		common = append(common, "--aptopt="+o)
	}
	args := append([]string{"--variant=minbase", "--include=" + strings.Join(g.allPackages(), ",")}, common...)
	if g.BuiltFrom != "" {
		args = append(args, "--customize-hook="+initrdHook(g.Kernel))
	}
	if g.Older {
		hooks, err := b.olderHooks(ctx, g, list)
		if err != nil {
			return err
		}
		args = append(args, hooks...)
	} else if len(g.CanHave) > 0 {
		args = append(args, "--customize-hook="+repositoryHook(downloadHook(g.CanHave)))
	}
	if g.Modules && !g.OwnCompiler {
		if err := os.Mkdir(filepath.Join(dir, headersFolder), 0o755); err != nil {
			return err
		}
		args = append(args, "--customize-hook="+headersHook(filepath.Join(dir, headersFolder)))
	}
	if _, err := b.run(ctx, "mmdebstrap", append(args, g.Suite, root, list)...); err != nil || !g.OwnCompiler {
		return err
	}
	return b.compilerSystem(ctx, root, filepath.Join(dir, compilerFolder), append(common, g.Suite), list)
}

// repositoryDir is where a guest has the packages that it can have, as a repository without signatures.
const repositoryDir = "usr/share/amp-lab/debs"

// downloadHook are commands of a hook of mmdebstrap that download packages, with those that they need and the guest has not.
func downloadHook(packages []string) string {
	return `APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get -qq -y --download-only install ` + strings.Join(packages, " ")
}

// repositoryHook is a hook of mmdebstrap that keeps what these commands download, and writes the repository's list. It comes from the same sources at the
// same time as the guest's kernel, and so has that kernel's headers.
func repositoryHook(downloads ...string) string {
	return strings.NewReplacer("DIR", repositoryDir, "DOWNLOADS", strings.Join(downloads, "; ")).Replace(
		`set -eu; rm -f "$1"/var/cache/apt/archives/*.deb; DOWNLOADS; ` +
			`mkdir -p "$1/DIR"; mv "$1"/var/cache/apt/archives/*.deb "$1/DIR"; cd "$1/DIR"; dpkg-scanpackages --multiversion . > Packages`)
}

// allPackages are the packages of a guest, once each.
func (g Guest) allPackages() []string {
	all := slices.Concat(basePackages, []string{g.Kernel}, g.Packages)
	if g.SELinux.Enabled() {
		all = append(all, g.SELinux.Policy, "policycoreutils")
	}
	if g.RPM {
		all = append(all, "rpm")
	}
	if g.HasFirmware() {
		all = append(all, signedPackages...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

var codenameLine = regexp.MustCompile(`(?m)^VERSION_CODENAME="?([a-z]+)"?$`)

// codename is the machine's own suite.
func codename(osRelease string) (string, error) {
	b, err := os.ReadFile(osRelease)
	if err != nil {
		return "", err
	}
	m := codenameLine.FindSubmatch(b)
	if m == nil {
		return "", fmt.Errorf("%s: no VERSION_CODENAME: the lab needs a Debian-based machine", osRelease)
	}
	return string(m[1]), nil
}

// configure makes a host of the unpacked packages.
func (b *builder) configure(g Guest, root string) error {
	at := func(name string) string { return filepath.Join(root, name) }
	stale, _ := filepath.Glob(at("etc/apt/sources.list.d/*"))
	for _, name := range append(stale, at("etc/apt/apt.conf.d/99mmdebstrap"), at("etc/apt/sources.list"), at("etc/resolv.conf")) {
		if err := os.RemoveAll(name); err != nil {
			return err
		}
	}
	files := map[string]string{
		"etc/hostname":   g.Name + "\n",
		"etc/hosts":      "127.0.0.1 localhost " + g.Name + "\n",
		"etc/fstab":      "/dev/vda / ext4 defaults 0 1\n",
		"etc/machine-id": "uninitialized\n",
	}
	for name, text := range files {
		if err := writeFile(at(name), text, 0o644); err != nil {
			return err
		}
	}
	// The console is for the kernel's and systemd's messages alone.
	for _, unit := range append([]string{"serial-getty@ttyS0.service"}, g.Masked...) {
		if err := os.Symlink("/dev/null", at("etc/systemd/system/"+unit)); err != nil {
			return err
		}
	}
	return setLoginDefs(at("etc/login.defs"), g.LoginDefs)
}

// setLoginDefs changes settings where they stand, and adds those that do not.
func setLoginDefs(path string, settings map[string]string) error {
	if len(settings) == 0 {
		return nil
	}
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text := string(old)
	for name, value := range settings {
		line := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + `[ \t].*$`)
		if line.MatchString(text) {
			text = line.ReplaceAllLiteralString(text, name+" "+value)
		} else {
			text += name + " " + value + "\n"
		}
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// putFiles copies the embedded files; a file in a bin or sbin folder is a program.
func (b *builder) putFiles(root string) error {
	return fs.WalkDir(imageFiles, "guestfiles", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := imageFiles.ReadFile(name)
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if strings.HasSuffix(filepath.Dir(name), "bin") {
			mode = 0o755
		}
		return writeFile(filepath.Join(root, strings.TrimPrefix(name, "guestfiles/")), string(text), mode)
	})
}

// confine sets the guest's SELinux mode, adds to its policy what the row asks for, and labels every file.
func (b *builder) confine(ctx context.Context, s SELinux, root string) error {
	if !s.Enabled() {
		return nil
	}
	config := fmt.Sprintf("SELINUX=%s\nSELINUXTYPE=%s\n", s.Mode, s.Type)
	if err := writeFile(filepath.Join(root, "etc/selinux/config"), config, 0o644); err != nil {
		return err
	}
	if s.ELLike {
		dropIn := fmt.Sprintf("[Service]\nSELinuxContext=system_u:system_r:%s:s0\n", serviceDomain)
		if err := writeFile(filepath.Join(root, "etc/systemd/system", serviceUnit+".d/el-like.conf"), dropIn, 0o644); err != nil {
			return err
		}
		if err := b.installELLike(ctx, root, s.Type); err != nil {
			return err
		}
	}
	contexts := filepath.Join(root, "etc/selinux", s.Type, "contexts/files/file_contexts")
	_, err := b.run(ctx, "setfiles", "-r", root, contexts, root)
	return err
}

// takeBoot copies kernel and initial RAM disk out of the guest.
func takeBoot(root, dir string) error {
	for have, want := range map[string]string{"vmlinuz-*": "vmlinuz", "initrd.img-*": "initrd.img"} {
		found, err := filepath.Glob(filepath.Join(root, "boot", have))
		if err != nil || len(found) != 1 {
			return fmt.Errorf("boot/%s: %d files, expected one", have, len(found))
		}
		b, err := os.ReadFile(found[0])
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, want), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// disk makes an ext4 file of root, labels included.
func (b *builder) disk(ctx context.Context, root, image string) error {
	_, err := b.run(ctx, "mke2fs", "-q", "-t", "ext4", "-d", root, image, fmt.Sprintf("%dM", diskMiB))
	return err
}

// writeFile writes text to path and makes the folders above it.
func writeFile(path, text string, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}
