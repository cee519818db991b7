package main

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/goreleaser/nfpm/v2"

	"github.com/ampconnector/amp/internal/policy"
	"github.com/ampconnector/amp/internal/scan/definitions"
	"github.com/ampconnector/amp/kmod"
	"github.com/ampconnector/amp/selinux"
)

//go:embed files scripts completions/*.bash completions/*.fish completions/*.zsh
var shipped embed.FS

// placed says which embedded file goes where. What is made rather than copied (manuals, policy module, changelog, overrides)
// is not in it.
var placed = map[string]string{
	"files/cisco-amp.service": unitFile,
	"files/policy.xml":        policy.Path,
	"files/logrotate":         "/etc/logrotate.d/cisco-amp",
	"files/kernel.postinst":   kernelHooks[0],
	"files/kernel.install":    kernelPlugin,
}

// fill lays out the package's files below stage, at the paths that they are installed to; scripts and the changelog, which
// nfpm reads from files too, stand beside them.
func (s spec) fill(stage, bin, product string, at time.Time) error {
	version := fullVersion(product)
	if err := s.placeShipped(stage); err != nil {
		return err
	}
	for _, dir := range []string{"scripts", "completions"} {
		if err := copyFolder(dir, filepath.Join(stage, dir)); err != nil {
			return err
		}
	}
	for _, p := range s.programs {
		if err := copyFile(filepath.Join(bin, p), stage+path.Join(binDir, p), 0o755); err != nil {
			return err
		}
	}
	for _, m := range s.manuals {
		if err := copyManual("files/man/"+m, stage+"/usr/share/man/man8/"+m+".gz"); err != nil {
			return err
		}
	}
	if err := copyFile("LICENSE", stage+"/usr/share/licenses/"+s.name+"/LICENSE", 0o644); err != nil {
		return err
	}
	if err := os.CopyFS(stage+definitions.BuiltInDir, definitions.BuiltIn()); err != nil {
		return err
	}
	if err := writeModule(stage + selinux.PackagedPath); err != nil {
		return err
	}
	if err := writeSources(stage+kmod.DKMSFolder(product), product); err != nil {
		return err
	}
	return writeFile(filepath.Join(stage, "changelog.yaml"), changelog(version, at), 0o644)
}

// placeShipped lays out the files that are shipped as they are.
func (s spec) placeShipped(stage string) error {
	for from, to := range placed {
		if err := copyShipped(from, stage+to); err != nil {
			return err
		}
	}
	for _, to := range kernelHooks[1:] {
		if err := copyShipped("files/kernel.postinst", stage+to); err != nil {
			return err
		}
	}
	for from, to := range map[string]string{
		"files/copyright":                   "/usr/share/doc/" + s.name + "/copyright",
		"files/lintian-overrides/" + s.name: "/usr/share/lintian/overrides/" + s.name,
	} {
		if err := copyShipped(from, stage+to); err != nil {
			return err
		}
	}
	return nil
}

// writeSources writes the source of the kernel modules where dkms(8) looks for it: that of the programs themselves, since what DKMS builds of another one
// would not be taken.
func writeSources(to, product string) error {
	for name, b := range kmod.DKMSTree(product) {
		if err := writeFile(filepath.Join(to, name), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// writeModule writes the policy module for the domain that services run in where a distribution has none for them, so that an
// administrator who keeps policy by hand has it on the disk. What an install loads is made for the domain it finds.
func writeModule(to string) error {
	cil, err := selinux.DefaultCIL()
	if err != nil {
		return err
	}
	return writeFile(to, []byte(cil), 0o644)
}

// copyManual compresses a manual page the way Debian's Policy asks for (12.1: gzip -9), without name and time.
func copyManual(from, to string) error {
	text, err := shipped.ReadFile(from)
	if err != nil {
		return err
	}
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return writeFile(to, packed.Bytes(), 0o644)
}

func copyFolder(from, to string) error {
	entries, err := shipped.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := copyShipped(path.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func copyShipped(from, to string) error {
	b, err := shipped.ReadFile(from)
	if err != nil {
		return err
	}
	return writeFile(to, b, 0o644)
}

func copyFile(from, to string, mode os.FileMode) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return writeFile(to, b, mode)
}

func writeFile(to string, b []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, b, mode)
}

// changelog is the package's changelog in the form that nfpm takes (github.com/goreleaser/chglog): the one entry of this
// version. What changed in earlier ones is told by the repository's history and the release notes.
func changelog(version string, at time.Time) []byte {
	return fmt.Appendf(nil, `- semver: %q
  date: %s
  packager: %q
  deb: {urgency: medium, distributions: [unstable]}
  changes:
    - note: "Version %s; the release notes say what changed."
`, version, at.Format(time.RFC3339), maintainer, version)
}

// fullVersion is the version with its revision, as the packages' own relations name it.
func fullVersion(version string) string {
	info := nfpm.WithDefaults(&nfpm.Info{Version: version})
	v := info.Version
	if info.Prerelease != "" {
		v += "~" + info.Prerelease
	}
	if info.VersionMetadata != "" {
		v += "+" + info.VersionMetadata
	}
	return v + "-" + revision
}
