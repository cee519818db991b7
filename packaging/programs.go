package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// programs are the mains below cmd/ that the packages carry. All are static but ampscansvc, which opens the host's engine library.
var programs = []string{"ampdaemon", "ampscansvc", "ampcli", "amp-remediate", "amp-install"}

// compile builds the programs for one architecture into dir. Everything that could make two builds of a commit differ is set
// here: no cgo, no paths (-trimpath), no state of the checkout (-buildvcs), no flags from the environment.
func compile(ctx context.Context, version, arch, dir string) error {
	args := []string{
		"build", "-trimpath", "-buildvcs=false",
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
