package lab

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
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

// Modules builds the connector's kernel modules for the image's kernel with the machine's own compiler, which takes seconds and not the minutes of an
// emulated one, and keeps them in the folder to. What it gives are files of a payload, kmod/NAME.ko. The guest's row has to say modules.
func (img Image) Modules(ctx context.Context, to string, log io.Writer) (map[string]string, error) {
	scratch, err := os.MkdirTemp("", "amp-lab-modules-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(scratch)
	if err := os.Chmod(scratch, 0o755); err != nil { // the compiler is a stranger there
		return nil, err
	}
	root, work := filepath.Join(scratch, "root"), filepath.Join(scratch, "build")
	if err := os.Mkdir(work, 0o755); err != nil {
		return nil, err
	}
	tree, err := img.headers(ctx, root)
	if err != nil {
		return nil, fmt.Errorf("headers of %s: %w", img.Guest.Name, err)
	}
	products, said, err := kmod.Compile(ctx, host.At(root), tree, work)
	fmt.Fprintf(log, "+ make modules\n%s", said)
	if err != nil {
		return nil, fmt.Errorf("modules for %s: %w", img.Guest.Name, err)
	}
	files := map[string]string{}
	for name, b := range products {
		file := filepath.Join(to, name)
		if err := writeFile(file, string(b), 0o644); err != nil {
			return nil, err
		}
		files["kmod/"+name] = file
	}
	return files, nil
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
