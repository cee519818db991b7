package lab

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ampconnector/amp/internal/host"
)

// What was asked for and not granted is named with its line, all of it; what is not asked for may be anything.
func TestConfigured(t *testing.T) {
	const got = "# CONFIG_DEBUG_INFO_BTF is not set\nCONFIG_SMP=y\nCONFIG_LSM=\"lockdown\"\nCONFIG_XFS_FS=m\nCONFIG_HZ=250\n"
	for _, c := range []struct{ name, asked, says string }{
		{name: "granted", asked: "# why\n\nCONFIG_SMP=y\nCONFIG_LSM=\"lockdown\"\nCONFIG_DEBUG_INFO_BTF=n\nCONFIG_NO_SUCH=n\n"},
		{name: "not asked in these sources", asked: "CONFIG_SMP=y\nCONFIG_PROVE_LOCKING=y\n", says: "line 2: it is not set, expected CONFIG_PROVE_LOCKING=y"},
		{name: "another value", asked: "CONFIG_XFS_FS=y\n", says: "line 1: it became CONFIG_XFS_FS=m, expected CONFIG_XFS_FS=y"},
		{name: "not to be set", asked: "CONFIG_SMP=n\n", says: "line 1: it became CONFIG_SMP=y, expected that it is not set"},
		{name: "as the kernel writes it", asked: "CONFIG_SMP=y\n# CONFIG_DEBUG_INFO_BTF is not set\n"},
		{name: "no line of a configuration", asked: "SMP=y\n", says: `line 1: "SMP=y", expected CONFIG_NAME=VALUE`},
		{name: "all of it", asked: "CONFIG_SMP=m\nCONFIG_NET=y\n", says: "line 2: it is not set"},
	} {
		err := configured(c.asked, got)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, expected %q", c.name, err, c.says)
		}
	}
}

// The configuration that is kept asks for each thing once, and for no types.
func TestKernelConfig(t *testing.T) {
	granted := strings.ReplaceAll(kernelConfig, "=n\n", " is not set\n")
	if err := configured(kernelConfig, granted); err != nil {
		t.Error(err)
	}
	seen := map[string]bool{}
	for _, m := range configSet.FindAllStringSubmatch(kernelConfig, -1) {
		if seen[m[1]] {
			t.Errorf("%s stands twice", m[1])
		}
		seen[m[1]] = true
	}
	if !strings.Contains(kernelConfig, "\nCONFIG_DEBUG_INFO_NONE=y\n") || !strings.Contains(kernelConfig, "\nCONFIG_PROVE_LOCKING=y\n") {
		t.Error("expected no debug information, and that locks are proved")
	}
}

// The parts of which make puts the release together are those of the package's name, by which the product finds the package of its headers.
func TestPackageArguments(t *testing.T) {
	args := packageArguments("linux-image-6.1.0-99-amd64", "6.1.192-3")
	for _, want := range []string{"KERNELVERSION=6.1.0", "LOCALVERSION=-99-amd64", "KDEB_PKGVERSION=6.1.192-3"} {
		if !slices.Contains(args, want) {
			t.Errorf("%q, expected %s", args, want)
		}
	}
	name, ok := host.HeaderPackage(host.Distribution{ID: "debian", VersionID: "12", Family: host.Debian}, "6.1.0-99-amd64")
	if !ok || name != "linux-headers-6.1.0-99-amd64" {
		t.Errorf("%q, %v: the headers have another name", name, ok)
	}
}

// What is there is not made again; what could not be made is not there; what was made before under another key is gone.
func TestOnce(t *testing.T) {
	cache := filepath.Join(t.TempDir(), "kernels")
	const name, older, newer = "linux-image-6.1.0-99-amd64", "-0123456789abcdef", "-fedcba9876543210"
	made := 0
	get := func(key string, fails error) error {
		dir := filepath.Join(cache, name+key)
		return once(dir, func() error {
			return buildInto(dir, name, func(scratch, to string) error {
				made++
				return errors.Join(fails, writeFile(filepath.Join(scratch, "object"), "x", 0o644), writeFile(filepath.Join(to, "Packages"), key, 0o644))
			})
		})
	}
	broken := errors.New("broken")
	for _, c := range []struct {
		key   string
		fails error
		made  int
	}{{older, broken, 1}, {older, nil, 2}, {older, nil, 2}, {newer, nil, 3}} {
		if err := get(c.key, c.fails); !errors.Is(err, c.fails) || made != c.made {
			t.Errorf("%s: %v, made %d times, expected %v, %d", c.key, err, made, c.fails, c.made)
		}
	}
	entries, err := os.ReadDir(cache)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if want := []string{name + newer, name + newer + ".lock"}; !slices.Equal(got, want) {
		t.Errorf("%q, expected %q", got, want)
	}
}
