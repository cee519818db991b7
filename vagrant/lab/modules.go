package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ampconnector/amp/bpf/layout/debiankernel"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/kmod"
)

// headersFolder is where an image has the packages with its kernel's headers.
const headersFolder = "headers"

// headersHook is a hook of mmdebstrap that downloads the headers of exactly the guest's kernel into a folder of the machine's: from the same sources at
// the same time. What compiles against them is not among it.
func headersHook(to string) string {
	return strings.ReplaceAll(
		`set -eu; export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"; cd TO; headers=linux-headers-$(basename "$1"/lib/modules/*); `+
			`apt-get -qq -o APT::Sandbox::User=root download "$headers" $(apt-cache depends "$headers" | sed -n 's/^ *Depends: \(linux-headers-.*-common.*\|linux-kbuild-.*\)$/\1/p')`,
		"TO", to)
}

// compilerFolder is where an image has a system of its suite that compiles against its kernel's headers, for a guest with own_compiler.
const compilerFolder = "compiler"

// compilerPackages are what a build of modules runs beside the compiler. The packages are unpacked and not configured, so that what they need of one
// another is named.
var compilerPackages = []string{"base-files", "bash", "coreutils", "dash", "diffutils", "findutils", "grep", "make", "mawk", "sed"}

// buildFolder is where in that system something is built: a file system in memory lies over it then.
const buildFolder = "build"

// compilerSystem makes a system at to with the headers of exactly the kernel that root has, and the compiler that they depend on. from are mmdebstrap's
// arguments for where it comes from.
func (b *builder) compilerSystem(ctx context.Context, root, to string, from []string, list string) error {
	found, _ := filepath.Glob(filepath.Join(root, "lib/modules/*"))
	if len(found) != 1 {
		return fmt.Errorf("%s/lib/modules has %d kernels, expected one", root, len(found))
	}
	packages := append(slices.Clone(compilerPackages), "linux-headers-"+filepath.Base(found[0]))
	if _, err := b.run(ctx, "mmdebstrap", slices.Concat([]string{"--variant=extract", "--include=" + strings.Join(packages, ",")}, from, []string{to, list})...); err != nil {
		return err
	}
	return errors.Join(os.Symlink("mawk", filepath.Join(to, "usr/bin/awk")), os.Mkdir(filepath.Join(to, buildFolder), 0o755))
}

// Modules builds the connector's kernel modules for the image's kernel on the machine, which takes seconds and not the minutes of an emulated compiler,
// and keeps them beside the image. What it gives are files of a payload, kmod/NAME.ko. The guest's row has to say modules.
func (img Image) Modules(ctx context.Context, log io.Writer) (map[string]string, error) {
	kept := filepath.Join(img.Dir, "modules-"+kmod.Made())
	if _, err := os.Stat(kept); err != nil {
		if err := img.keepModules(ctx, kept, log); err != nil {
			return nil, fmt.Errorf("modules for %s: %w", img.Guest.Name, err)
		}
	} else {
		fmt.Fprintf(log, "the modules of these sources were built before: %s\n", kept)
	}
	found, _ := filepath.Glob(filepath.Join(kept, "*.ko"))
	if len(found) == 0 {
		return nil, fmt.Errorf("%s has no modules: delete it, so that it is made anew", kept)
	}
	files := map[string]string{}
	for _, name := range found {
		files["kmod/"+filepath.Base(name)] = name
	}
	return files, nil
}

// ModulesOf is Modules of another image, for this one's kernel, which has to be the same.
func (img Image) ModulesOf(ctx context.Context, of Image, log io.Writer) (map[string]string, error) {
	own, err := kernelRelease(img.Kernel)
	if err != nil {
		return nil, err
	}
	theirs, err := kernelRelease(of.Kernel)
	if err != nil {
		return nil, err
	}
	if own != theirs {
		return nil, fmt.Errorf("modules for %s are those of %s, and their kernels are %s and %s: delete the older image, so that it is made anew: %s, %s",
			img.Guest.Name, of.Guest.Name, own, theirs, img.Dir, of.Dir)
	}
	return of.Modules(ctx, log)
}

// kernelRelease reads the release in the set-up header of a bzImage (Documentation/arch/x86/boot.rst): of its text the first word.
func kernelRelease(bzImage string) (string, error) {
	const (
		magicAt, magic = 0x202, "HdrS"
		pointerAt      = 0x20e // little-endian, of the text, which begins 0x200 behind it
		most           = 64
	)
	b, err := os.ReadFile(bzImage)
	if err != nil {
		return "", err
	}
	if len(b) < pointerAt+2 || string(b[magicAt:magicAt+len(magic)]) != magic {
		return "", fmt.Errorf("%s: expected %q at %#x, as a bzImage has it", bzImage, magic, magicAt)
	}
	from := int(binary.LittleEndian.Uint16(b[pointerAt:])) + 0x200
	if from >= len(b) {
		return "", fmt.Errorf("%s: the kernel's version is at %#x, expected it in the %d bytes", bzImage, from, len(b))
	}
	release, _, ok := strings.Cut(string(b[from:min(len(b), from+most)]), " ")
	if !ok {
		return "", fmt.Errorf("%s: read %q at %#x, expected a release and a blank", bzImage, release, from)
	}
	return release, nil
}

// keepModules builds the modules into a folder, which is there whole or not at all. Who builds the same at the same time and comes second is content
// with what is there.
func (img Image) keepModules(ctx context.Context, kept string, log io.Writer) error {
	products, said, err := img.compile(ctx)
	fmt.Fprintf(log, "+ make modules\n%s", said)
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp(img.Dir, ".modules-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	for name, b := range products {
		if err := writeFile(filepath.Join(scratch, name), string(b), 0o644); err != nil {
			return err
		}
	}
	if err := os.Chmod(scratch, 0o755); err != nil {
		return err
	}
	if err := os.Rename(scratch, kept); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// compile builds the modules with the compiler that the guest's row asks for, and gives them by their files' names, and what make said.
func (img Image) compile(ctx context.Context) (products map[string][]byte, said []byte, err error) {
	if img.Guest.OwnCompiler {
		system := filepath.Join(img.Dir, compilerFolder)
		links, _ := filepath.Glob(filepath.Join(system, "lib/modules/*/build"))
		if len(links) != 1 {
			return nil, nil, fmt.Errorf("%s/lib/modules has the headers of %d kernels, expected one", system, len(links))
		}
		return kmod.CompileInside(ctx, host.At(system), strings.TrimPrefix(links[0], system), filepath.Join(system, buildFolder))
	}
	scratch, err := os.MkdirTemp("", "amp-lab-modules-")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(scratch)
	if err := os.Chmod(scratch, 0o755); err != nil { // the compiler is a stranger there
		return nil, nil, err
	}
	root, work := filepath.Join(scratch, "root"), filepath.Join(scratch, "build")
	if err := os.Mkdir(work, 0o755); err != nil {
		return nil, nil, err
	}
	tree, err := img.headers(ctx, root)
	if err != nil {
		return nil, nil, fmt.Errorf("headers: %w", err)
	}
	return kmod.Compile(ctx, host.At(root), tree, work)
}

// headers unpacks the headers as a root that has the machine's make and compiler, and gives the kernel's build link there.
func (img Image) headers(ctx context.Context, root string) (string, error) {
	packages, err := filepath.Glob(filepath.Join(img.Dir, headersFolder, "*.deb"))
	if err != nil || len(packages) == 0 {
		return "", fmt.Errorf("%s has no packages: does the guest's row say modules? (%w)", filepath.Join(img.Dir, headersFolder), err)
	}
	if err := os.Mkdir(root, 0o755); err != nil {
		return "", err
	}
	return debiankernel.Tree(ctx, root, packages)
}
