package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// programs are the mains below cmd/ that the packages carry. All are static but ampscansvc, which opens the host's engine library.
var programs = []string{"ampdaemon", "ampscansvc", "ampcli", "amp-remediate"}

// otherNames are links to programs that do something else when they are called so.
var otherNames = map[string]string{"amp-install": "amp-remediate"}

// independent are those of them that are loaded at another address each time: what reads files that others made must not be easy to aim at.
// The others have no C code, and stay what minimal hosts can run without a dynamic linker.
var independent = []string{"ampscansvc"}

// compile builds the programs for one architecture into dir.
func compile(ctx context.Context, version, arch, dir string) error {
	static := slices.DeleteFunc(slices.Clone(programs), func(p string) bool { return slices.Contains(independent, p) })
	return errors.Join(build(ctx, version, arch, dir, "default", static), build(ctx, version, arch, dir, "pie", independent))
}

// build builds some programs in one of Go's modes. Everything that could make two builds of a commit differ is set here: no cgo, no
// paths (-trimpath), no state of the checkout (-buildvcs), no flags from the environment.
func build(ctx context.Context, version, arch, dir, mode string, programs []string) error {
	args := []string{
		"build", "-trimpath", "-buildvcs=false", "-buildmode=" + mode,
		"-ldflags", "-s -w -buildid= -X main.version=" + version,
		"-o", dir + string(filepath.Separator),
	}
	for _, p := range programs {
		args = append(args, "./cmd/"+p)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOAMD64=v1", "GOARM64=v8.0", "GOFLAGS=", "GOEXPERIMENT=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build for %s: %w\n%s", arch, err, strings.TrimSpace(string(out)))
	}
	return nil
}
