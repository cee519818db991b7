package debiankernel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/ampconnector/amp/internal/host"
)

// Tree unpacks the header packages of one kernel, .deb files, below dir, and makes of it a root in which the machine's own make and gcc build. It gives the
// kernel's build link, as seen from inside the root.
func Tree(ctx context.Context, dir string, debs []string) (link string, err error) {
	for _, deb := range debs {
		// Without what is of other architectures, two thirds of all.
		cmd := exec.CommandContext(ctx, "sh", "-c", `dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --exclude='*/arch/[!x]*' --exclude='*/dt-bindings/*'`, "sh", deb, dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("unpack %s: %w\n%s", deb, err, out)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil { // the compiler is a stranger there
		return "", err
	}
	var links []string
	for _, below := range []string{"lib/modules", "usr/lib/modules"} {
		found, err := filepath.Glob(filepath.Join(dir, below, "*", "build"))
		if err != nil {
			return "", err
		}
		links = append(links, found...)
	}
	if len(links) != 1 {
		return "", fmt.Errorf("%q have %d build links, expected one", debs, len(links))
	}
	link = strings.TrimPrefix(links[0], dir)
	if err := atHome(host.At(dir), link); err != nil {
		return "", err
	}
	return link, errors.Join(addTool(dir, "make"), addTool(dir, "gcc"))
}

// atHome has the tree's absolute paths lead into the root: its Makefile includes its other half by one.
func atHome(r host.Root, link string) error {
	name, err := r.Path(link + "/Makefile")
	if err != nil {
		return err
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	return os.WriteFile(name, bytes.ReplaceAll(text, []byte("/usr/src/"), []byte(r.Dir()+"/usr/src/")), 0o644)
}

// addTool has a root have one of the machine's tools: it is found there, and run here.
func addTool(dir, name string) error {
	bin := filepath.Join(dir, "usr/bin")
	return errors.Join(os.MkdirAll(bin, 0o755), os.WriteFile(filepath.Join(bin, name), nil, 0o755))
}
