package lab

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
)

// kernelConfig is what a kernel that is built here has beside the defaults of its sources: lines NAME=VALUE, of which n is "not set".
//
//go:embed kernel.config
var kernelConfig string

// kernelRecipe is raised when this file makes something else of the same sources and configuration.
const kernelRecipe = 1

// sourcePrefix begins the names of the packages of kernels' sources.
const sourcePrefix = "linux-source-"

// builtName is the name of a kernel that is built here, as Debian 12 calls its own: the series with a zero, and behind it the number of an ABI, which
// Debian does not give, and the architecture. Another name would be another rule for the name of the headers' package (host.HeaderPackage).
var builtName = regexp.MustCompile(`^` + imagePrefix + `([0-9]+\.[0-9]+)(\.0)(-[0-9]+-amd64)$`)

// builtProblems lists what is wrong with a row whose kernel is built on the machine.
func (g Guest) builtProblems() []string {
	if g.BuiltFrom == "" {
		return nil
	}
	var out []string
	if name := builtName.FindStringSubmatch(g.Kernel); name == nil {
		out = append(out, fmt.Sprintf("built_from: kernel %q, expected %s", g.Kernel, builtName))
	} else if g.BuiltFrom != sourcePrefix+name[1] {
		out = append(out, fmt.Sprintf("built_from: %q, expected %s%s for %s", g.BuiltFrom, sourcePrefix, name[1], g.Kernel))
	}
	if g.Older {
		out = append(out, "built_from: there is no older version of what is built")
	}
	if g.HasFirmware() {
		out = append(out, "built_from: what is built is not signed, and knows no UEFI: neither secure_boot nor from_disk")
	}
	if g.OwnCompiler {
		out = append(out, "built_from: the kernel is of the machine's compiler, and so are its modules: no own_compiler")
	}
	return out
}

// builtKernel gives the repository with the packages of a guest's kernel and of its headers, built here now if it was not before. list has the package
// sources that the kernel's are taken from.
func (b *builder) builtKernel(ctx context.Context, g Guest, list string) (Source, error) {
	options, err := b.aptFor(ctx, list)
	if err != nil {
		return Source{}, err
	}
	versions, err := b.versions(ctx, g.BuiltFrom, options)
	if err != nil {
		return Source{}, err
	}
	if len(versions) == 0 {
		return Source{}, fmt.Errorf("built_from: the package sources have no %s", g.BuiltFrom)
	}
	compiler, err := b.run(ctx, "gcc", "--version")
	if err != nil {
		return Source{}, err
	}
	compiler, _, _ = strings.Cut(compiler, "\n")
	h := sha256.New()
	fmt.Fprintln(h, kernelRecipe, g.Kernel, g.BuiltFrom, versions[0], compiler, kernelConfig)
	dir := filepath.Join(b.kernels, g.Kernel+"-"+hex.EncodeToString(h.Sum(nil))[:16])
	err = once(dir, func() error {
		fmt.Fprintf(b.log, "building %s of %s %s with %s below %s\n", g.Kernel, g.BuiltFrom, versions[0], compiler, dir)
		return buildInto(dir, g.Kernel, func(scratch, made string) error {
			return b.buildKernel(ctx, g, versions[0], options, scratch, made)
		})
	})
	// Not file: what apt takes from there it would look for in the guest's root.
	return Source{URIs: []string{"copy:" + dir}, Suites: []string{"./"}, Options: []string{"Trusted: yes"}}, err
}

// buildKernel builds the packages of a kernel and of its headers in scratch, and makes a repository of them in made; options are of aptFor.
func (b *builder) buildKernel(ctx context.Context, g Guest, version string, options []string, scratch, made string) error {
	tree, err := b.unpackSource(ctx, g.BuiltFrom+"="+version, options, scratch)
	if err != nil {
		return err
	}
	asked := filepath.Join(scratch, "asked.config")
	if err := writeFile(asked, kernelConfig, 0o644); err != nil {
		return err
	}
	// What is asked for is held against the defaults, and not a whole configuration written down: the sources of another version have other questions.
	if _, err := b.run(ctx, "make", "-s", "-C", tree, "KCONFIG_ALLCONFIG="+asked, "alldefconfig"); err != nil {
		return err
	}
	got, err := os.ReadFile(filepath.Join(tree, ".config"))
	if err != nil {
		return err
	}
	if err := configured(kernelConfig, string(got)); err != nil {
		return fmt.Errorf("%s/.config: %w", tree, err)
	}
	if _, err := b.run(ctx, "nice", append([]string{"-n", "5", "make", "-s", "-C", tree}, packageArguments(g.Kernel, version)...)...); err != nil {
		return err
	}
	release := strings.TrimPrefix(g.Kernel, imagePrefix)
	for _, name := range []string{imagePrefix + release, headersPrefix + release} {
		deb := name + "_" + version + "_amd64.deb"
		if err := os.Rename(filepath.Join(scratch, deb), filepath.Join(made, deb)); err != nil {
			return err
		}
	}
	list, err := b.run(ctx, "sh", "-c", `cd "$1" && dpkg-scanpackages .`, "sh", made)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(made, "Packages"), list, 0o644)
}

// initrdHook is a hook of mmdebstrap that makes the initial RAM disk of a kernel that was built here. Its package depends on none that makes one, and so may be
// set up before that.
func initrdHook(kernel string) string {
	return `chroot "$1" update-initramfs -c -k ` + strings.TrimPrefix(kernel, imagePrefix)
}

// packageArguments are those of make that builds a kernel's packages, called as its package is.
//
// The release is made of three parts: version, what follows it on the command line, and the configuration's, which has none. Each is one word in all that
// tells of it: uname -r, the modules' vermagic, utsrelease.h and the packages' names. The version of the packages is the source's, so that apt and what
// /proc/version says (its #NUMBER is the last part of it) look as a distribution's do; who has built it is told as it is, since nothing of ours reads it.
func packageArguments(kernel, version string) []string {
	name := builtName.FindStringSubmatch(kernel)
	return []string{
		"-j" + strconv.Itoa(runtime.NumCPU()), "KERNELVERSION=" + name[1] + name[2], "LOCALVERSION=" + name[3],
		"KDEB_PKGVERSION=" + version, "KDEB_CHANGELOG_DIST=stable", "KDEB_COMPRESS=gzip", "DEBFULLNAME=lab", "KBUILD_BUILD_USER=lab", "KBUILD_BUILD_HOST=lab",
		"DPKG_FLAGS=-d", // its tools are looked for when they are run, by their names and not by their packages'
		"bindeb-pkg",
	}
}

// unpackSource downloads a package of a kernel's sources, and gives the folder in dir in which they are then.
func (b *builder) unpackSource(ctx context.Context, pkg string, options []string, dir string) (string, error) {
	const script = `set -eu; cd "$1"; shift; apt-get "$@"; dpkg-deb -x *.deb package; rm *.deb; tar -xf package/usr/src/linux-source-*.tar.xz; rm -r package`
	if _, err := b.run(ctx, "sh", append(append([]string{"-c", script, "sh", dir}, options...), "download", pkg)...); err != nil {
		return "", err
	}
	found, _ := filepath.Glob(filepath.Join(dir, sourcePrefix+"*", "Kbuild"))
	if len(found) != 1 {
		return "", fmt.Errorf("%s: %d trees of sources, expected one", pkg, len(found))
	}
	return filepath.Dir(found[0]), nil
}

var (
	configLine = regexp.MustCompile(`^(CONFIG_[A-Z0-9_]+)=(\S.*)$`)
	configSet  = regexp.MustCompile(`(?m)^(CONFIG_[A-Za-z0-9_]+)=(.*)$`)
)

// configured says what of a configuration that was asked for was not granted: a question that is not asked in these sources, or not with the other answers, is
// passed over in silence.
func configured(asked, got string) error {
	set := map[string]string{}
	for _, m := range configSet.FindAllStringSubmatch(got, -1) {
		set[m[1]] = m[2]
	}
	var problems []error
	line := 0
	for text := range strings.Lines(asked) {
		line++
		text = strings.TrimSpace(text)
		if text == "" || text[0] == '#' {
			continue
		}
		m := configLine.FindStringSubmatch(text)
		switch {
		case m == nil:
			problems = append(problems, fmt.Errorf("kernel.config: line %d: %q, expected CONFIG_NAME=VALUE", line, text))
		case m[2] == "n" && set[m[1]] != "":
			problems = append(problems, fmt.Errorf("kernel.config: line %d: it became %s=%s, expected that it is not set", line, m[1], set[m[1]]))
		case m[2] != "n" && set[m[1]] == "":
			problems = append(problems, fmt.Errorf("kernel.config: line %d: it is not set, expected %s", line, text))
		case m[2] != "n" && set[m[1]] != m[2]:
			problems = append(problems, fmt.Errorf("kernel.config: line %d: it became %s=%s, expected %s", line, m[1], set[m[1]], text))
		}
	}
	return errors.Join(problems...)
}
