package host

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const headerRelease = "6.1.0-49-amd64"

// headerTree makes a header tree as Debian's packages do: one folder a flavour, which includes a common one.
func headerTree(t *testing.T, change func(dir string)) Root {
	t.Helper()
	dir := t.TempDir()
	tree := "usr/src/linux-headers-" + headerRelease
	for name, text := range map[string]string{
		tree + "/Makefile":                               "include /usr/src/linux-headers-6.1.0-49-common/Makefile\n",
		tree + "/Module.symvers":                         "",
		tree + "/include/generated/autoconf.h":           "",
		tree + "/include/config/auto.conf":               "",
		tree + "/include/generated/utsrelease.h":         "#define UTS_RELEASE \"" + headerRelease + "\"\n",
		"usr/lib/linux-kbuild-6.1/scripts/mod/modpost":   "",
		"usr/lib/linux-kbuild-6.1/scripts/basic/fixdep":  "",
		"usr/src/linux-headers-6.1.0-49-common/Makefile": "",
	} {
		write(t, filepath.Join(dir, name), text)
	}
	symlink(t, "/usr/lib/linux-kbuild-6.1/scripts", filepath.Join(dir, tree, "scripts"))
	symlink(t, "/usr/src/linux-headers-"+headerRelease, filepath.Join(dir, "lib/modules", headerRelease, "build"))
	if change != nil {
		change(dir)
	}
	return At(dir)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func symlink(t *testing.T, to, at string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.Symlink(to, at)); err != nil {
		t.Fatal(err)
	}
}

func TestHeaders(t *testing.T) {
	link := "/lib/modules/" + headerRelease + "/build"
	target := "/usr/src/linux-headers-" + headerRelease
	for _, c := range []struct {
		name   string
		change func(dir string)
		want   *Headers
		right  bool
	}{
		{"whole", nil, &Headers{Link: link, Target: target, Release: headerRelease}, true},
		{"no package", func(dir string) { os.RemoveAll(dir + link) }, nil, false},
		{"dangling link", func(dir string) { os.RemoveAll(dir + target) }, &Headers{Link: link, Target: target, Missing: []string{"."}}, false},
		{"of another kernel", func(dir string) {
			os.WriteFile(dir+target+"/include/generated/utsrelease.h", []byte("#define UTS_RELEASE \"6.1.0-48-amd64\"\n"), 0o644)
		}, &Headers{Link: link, Target: target, Release: "6.1.0-48-amd64"}, false},
		{"without its build tools", func(dir string) { os.RemoveAll(dir + "/usr/lib/linux-kbuild-6.1") },
			&Headers{Link: link, Target: target, Release: headerRelease, Missing: []string{"scripts/basic/fixdep", "scripts/mod/modpost"}}, false},
		{"without its common part", func(dir string) { os.RemoveAll(dir + "/usr/src/linux-headers-6.1.0-49-common") },
			&Headers{Link: link, Target: target, Release: headerRelease, Missing: []string{"/usr/src/linux-headers-6.1.0-49-common/Makefile"}}, false},
		{"not configured", func(dir string) { os.Remove(dir + target + "/include/generated/autoconf.h") },
			&Headers{Link: link, Target: target, Release: headerRelease, Missing: []string{"include/generated/autoconf.h"}}, false},
		{"without a version", func(dir string) { os.Remove(dir + target + "/include/generated/utsrelease.h") }, &Headers{Link: link, Target: target}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := HeadersOf(headerTree(t, c.change), headerRelease)
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			if diff := cmp.Diff(c.want, r.Value); diff != "" {
				t.Error(diff)
			}
			if r.Value.Right(headerRelease) != c.right {
				t.Errorf("right: %v, expected %v", !c.right, c.right)
			}
		})
	}
}

func TestHeadersThatCannotBeRead(t *testing.T) {
	for name, change := range map[string]func(dir string){
		"version header is a folder": func(dir string) {
			p := dir + "/usr/src/linux-headers-" + headerRelease + "/include/generated/utsrelease.h"
			os.Remove(p)
			os.Mkdir(p, 0o755)
		},
		"version header without a version": func(dir string) {
			os.WriteFile(dir+"/usr/src/linux-headers-"+headerRelease+"/include/generated/utsrelease.h", []byte("x\n"), 0o644)
		},
	} {
		if r := HeadersOf(headerTree(t, change), headerRelease); r.Err == nil {
			t.Errorf("%s: %+v; expected an error", name, r.Value)
		}
	}
}
