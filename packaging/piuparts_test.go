package main

import (
	"path/filepath"
	"regexp"
	"testing"
)

// TestPiuparts has Debian's own test of a package's life install, remove and purge ours, and look at what they left, took or broke.
func TestPiuparts(t *testing.T) {
	dir := realPackages(t)
	needs(t, "piuparts", "unshare", "gzip")
	needsRoot(t)
	base := filepath.Join(roomy(t), "base.tgz")
	tool(t, "sh", "-c", `gzip -1 < "$0" > "$1"`, baseArchive(t, nil), base)
	for name := range specs {
		t.Run(name, func(t *testing.T) {
			// The mounts that it makes end with its mount namespace, whatever becomes of it.
			out := tool(t, "unshare", "--mount", "piuparts", "--basetgz", base, "--tmpdir", roomy(t), "--no-eatmydata", "--keep-sources-list",
				"--ignore", emptyOpt+"/", "--distribution", "bookworm", "--no-upgrade-test", "--install-remove-install", "--fail-on-broken-symlinks", deb(dir, name, "0.1.0"))
			for _, line := range regexp.MustCompile(`(?m)^\S+ (WARN|ERROR): .*\n(  .*\n)*`).FindAllString(out, -1) {
				t.Error(line)
			}
		})
	}
}
