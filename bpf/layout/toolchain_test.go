package layout

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/ampconnector/amp/internal/host"
)

func TestFindToolchain(t *testing.T) {
	const (
		debian = "CONFIG_CC_VERSION_TEXT=gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0\nCONFIG_CC_IS_GCC=y\nCONFIG_GCC_VERSION=120200\n"
		el     = "CONFIG_CC_VERSION_TEXT=\"gcc (GCC) 8.5.0 20210514 (Red Hat 8.5.0-4)\"\n"
		clang  = "CONFIG_CC_VERSION_TEXT=Debian clang version 14.0.6\nCONFIG_CC_IS_CLANG=y\nCONFIG_CLANG_VERSION=140006\n"
	)
	for _, c := range []struct {
		name, conf             string
		tools                  []string
		compiler, wanted       string
		why                    Why
		wantedByError, inError string
	}{
		{"the very one", debian, []string{"make", "gcc", "gcc-12"}, "/usr/bin/gcc-12", "gcc-12", "", "", ""},
		{"the machine's", debian, []string{"make", "gcc", "gcc-11"}, "/usr/bin/gcc", "gcc-12", "", "", ""},
		{"any", debian, []string{"make", "gcc-10", "gcc-11"}, "/usr/bin/gcc-11", "gcc-12", "", "", ""},
		{"without its number", el, []string{"make", "gcc"}, "/usr/bin/gcc", "gcc-8", "", "", ""},
		{"clang", clang, []string{"make", "gcc", "clang-14"}, "/usr/bin/clang-14", "clang-14", "", "", ""},
		{"no clang", clang, []string{"make", "gcc"}, "", "", NoCompiler, "clang-14", "Debian clang version 14.0.6"},
		{"none", debian, []string{"make"}, "", "", NoCompiler, "gcc-12", "gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0"},
		{"none, and the tree does not say", "", []string{"make"}, "", "", NoCompiler, "gcc", "does not say"},
		{"no make", debian, []string{"gcc-12"}, "", "", NoMake, "make", ""},
		{"shuffled", debian + "CONFIG_RANDSTRUCT=y\n", []string{"make", "gcc-12"}, "", "", Shuffled, "", "CONFIG_RANDSTRUCT is set"},
		{"shuffled by a plugin", debian + "CONFIG_GCC_PLUGIN_RANDSTRUCT=y\n", []string{"make", "gcc-12"}, "", "", Shuffled, "", ""},
		{"not shuffled", debian + "CONFIG_RANDSTRUCT_NONE=y\n", []string{"make", "gcc-12"}, "/usr/bin/gcc-12", "gcc-12", "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			put(t, filepath.Join(dir, "tree", autoConf), []byte("# comment\nCONFIG_X=y\n"+c.conf))
			for _, tool := range c.tools {
				file := filepath.Join(dir, "usr/bin", tool)
				put(t, file, nil)
				if err := os.Chmod(file, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			tools, err := findToolchain(host.At(dir), "/tree")
			var e *Error
			if errors.As(err, &e); c.why != "" {
				if e == nil || e.Why != c.why || e.Wanted != c.wantedByError || !contains(e.Error(), c.inError) {
					t.Fatalf("%v, expected %s, %s wanted, %q", err, c.why, c.wantedByError, c.inError)
				}
				return
			}
			if err != nil || tools.compiler != c.compiler || tools.wanted != c.wanted {
				t.Errorf("%+v (%v), expected %s, %s wanted", tools, err, c.compiler, c.wanted)
			}
		})
	}
}
