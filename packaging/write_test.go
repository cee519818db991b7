package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ampconnector/amp/kmod"
)

// epoch is the time that test packages carry.
const epoch = "1700000000"

func testEnv(extra ...string) func(string) string {
	return func(name string) string {
		for _, e := range append(extra, "SOURCE_DATE_EPOCH="+epoch) {
			if value, ok := strings.CutPrefix(e, name+"="); ok {
				return value
			}
		}
		return ""
	}
}

// fakePrograms makes tiny programs for both architectures: what a package holds does not depend on what they do.
func fakePrograms(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for _, arch := range []string{"amd64", "arm64"} {
		for _, p := range programs {
			if err := writeFile(filepath.Join(dir, arch, p), []byte("#!/bin/sh\nexit 0\n"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// repository is the directory that has go.mod.
func repository(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for !isFile(filepath.Join(dir, "go.mod")) {
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the working directory")
		}
		dir = filepath.Dir(dir)
	}
	return dir
}

func isFile(name string) bool {
	fi, err := os.Stat(name)
	return err == nil && fi.Mode().IsRegular()
}

// pack writes packages of fake programs and returns the folder that they are in.
func pack(t testing.TB, env func(string) string, args ...string) string {
	t.Helper()
	t.Chdir(repository(t)) // the licence is read from there
	out := t.TempDir()
	var said bytes.Buffer
	all := append([]string{"--version", "v0.1.0", "--out", out, "--binaries", fakePrograms(t)}, args...)
	if status := run(context.Background(), all, env, &said, &said); status != 0 {
		t.Fatalf("exit status %d: %s", status, said.String())
	}
	return out
}

// tool runs a program that reads packages and returns what it printed.
func tool(t testing.TB, name string, args ...string) string {
	t.Helper()
	needs(t, name)
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestSameBytes(t *testing.T) {
	one, two := pack(t, testEnv()), pack(t, testEnv())
	files, err := os.ReadDir(one)
	if err != nil || len(files) != 8 {
		t.Fatalf("%d packages, %v; want 8", len(files), err)
	}
	for _, f := range files {
		a, err1 := os.ReadFile(filepath.Join(one, f.Name()))
		b, err2 := os.ReadFile(filepath.Join(two, f.Name()))
		if err1 != nil || err2 != nil || !bytes.Equal(a, b) {
			t.Errorf("%s differs between two builds (%v, %v)", f.Name(), err1, err2)
		}
	}
}

// TestSamePrograms builds the programs in two folders. Together with TestSameBytes it says that the same commit gives the same packages; the
// compiler's cache is shared by both, and knows the folder unless -trimpath takes it out.
func TestSamePrograms(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the programs twice")
	}
	needs(t, "git")
	here := repository(t)
	there := filepath.Join(t.TempDir(), "elsewhere")
	for name := range strings.SplitSeq(strings.TrimRight(tool(t, "git", "-C", here, "ls-files", "-z", "--cached", "--others", "--exclude-standard"), "\x00"), "\x00") {
		if err := copyFile(filepath.Join(here, name), filepath.Join(there, name), 0o644); err != nil && !errors.Is(err, fs.ErrNotExist) { // deleted, and not committed yet
			t.Fatal(err)
		}
	}
	made := map[string]string{}
	for _, checkout := range []string{here, there} {
		t.Chdir(checkout)
		for _, arch := range []string{"amd64", "arm64"} {
			out := t.TempDir()
			if err := compile(t.Context(), "0.1.0", arch, out); err != nil {
				t.Fatal(err)
			}
			for _, p := range programs {
				b, err := os.ReadFile(filepath.Join(out, p))
				if err != nil {
					t.Fatal(err)
				}
				sum, name := fmt.Sprintf("%x", sha256.Sum256(b)), p+" for "+arch
				if before := made[name]; before != "" && before != sum {
					t.Errorf("%s is another program when it is built in another folder", name)
				}
				made[name] = sum
			}
		}
	}
}

func TestNames(t *testing.T) {
	want := map[string]string{"v0.1.0": "amp-remediate_0.1.0-1_amd64.deb", "0.2.0-rc.1": "amp-remediate_0.2.0~rc.1-1_amd64.deb"}
	for version, name := range want {
		out := pack(t, testEnv(), "--version", version, "--package", "amp-remediate", "--format", "deb", "--arch", "amd64")
		if _, err := os.Stat(filepath.Join(out, name)); err != nil {
			t.Error(err)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{},
		{"--version", "1", "--arch", "riscv64"},
		{"--version", "1", "--format", "apk"},
		{"--version", "1", "more"},
		{"--nonsense"},
	} {
		var said bytes.Buffer
		if status := run(t.Context(), args, testEnv(), &said, &said); status != 2 || said.Len() == 0 {
			t.Errorf("%v: exit status %d, %q; want 2 and a reason", args, status, said.String())
		}
	}
}

func TestBadTime(t *testing.T) {
	for _, bad := range []string{"yesterday", "-1", "99999999999"} {
		if at, err := buildTime(t.Context(), func(string) string { return bad }); err == nil || !strings.Contains(err.Error(), "SOURCE_DATE_EPOCH") {
			t.Errorf("%s: %v, %v", bad, at, err)
		}
	}
}

// TestDeb reads a .deb back with dpkg's own tool.
func TestDeb(t *testing.T) {
	deb := filepath.Join(pack(t, testEnv(), "--format", "deb", "--arch", "arm64"), "amp-connector_0.1.0-1_arm64.deb")
	for field, want := range map[string]string{
		"Version": "0.1.0-1", "Architecture": "arm64", "Depends": "passwd, libc6", "Recommends": "policycoreutils, logrotate, libclamav12 | libclamav11 | libclamav9",
		"Provides": "amp-remediate (= 0.1.0-1)", "Replaces": "amp-remediate", "Conflicts": "amp-remediate, ciscoampconnector",
	} {
		if got := strings.TrimSpace(tool(t, "dpkg-deb", "-f", deb, field)); got != want {
			t.Errorf("%s: %q, want %q", field, got, want)
		}
	}
	listing := tool(t, "dpkg-deb", "-c", deb)
	for _, want := range []struct{ mode, name string }{
		{"drwxr-xr-x", "./opt/cisco/"},
		{"drwxr-xr-x", "./var/lib/cisco/amp/"},
		{"drwxr-xr-x", "./var/log/cisco/"},
		{"-rwxr-xr-x", "./opt/cisco/amp/bin/ampdaemon"},
		{"lrwxrwxrwx", "./usr/bin/ampcli"}, // also where the target exists on the building machine
		{"lrwxrwxrwx", "./opt/cisco/amp/bin/amp-install"},
		{"-rw-r--r--", "./opt/cisco/amp/share/policy.xml"},
		{"-rw-r--r--", "./opt/cisco/amp/share/selinux/cisco-secure-bpf.cil"},
		{"-rw-r--r--", "./usr/lib/systemd/system/cisco-amp.service"},
		{"-rw-r--r--", "./usr/share/bash-completion/completions/ampcli"},
		{"-rw-r--r--", "./usr/share/fish/vendor_completions.d/amp-install.fish"},
		{"-rw-r--r--", "./usr/share/zsh/vendor-completions/_amp-remediate"},
	} {
		if !hasEntry(listing, want.mode, want.name) {
			t.Errorf("no %s %s in\n%s", want.mode, want.name, listing)
		}
	}
	for line := range strings.Lines(listing) {
		if f := strings.Fields(line); f[1] != "root/root" && f[1] != "0/0" {
			t.Errorf("not root's: %s", line)
		}
	}
	control := t.TempDir()
	tool(t, "dpkg-deb", "-e", deb, control)
	conffiles, _ := os.ReadFile(filepath.Join(control, "conffiles"))
	if string(conffiles) != "/etc/kernel/header_postinst.d/zz-amp-connector\n/etc/kernel/postinst.d/zz-amp-connector\n/etc/logrotate.d/cisco-amp\n" {
		t.Errorf("conffiles: %q", conffiles)
	}
	for _, script := range []string{"preinst", "postinst", "prerm", "postrm"} {
		shipped, err1 := os.ReadFile("packaging/scripts/deb." + script)
		got, err2 := os.ReadFile(filepath.Join(control, script))
		if err1 != nil || err2 != nil || !bytes.Equal(shipped, got) {
			t.Errorf("%s is not the one of scripts/ (%v, %v)", script, err1, err2)
		}
	}
}

func hasEntry(listing, mode, name string) bool {
	for line := range strings.Lines(listing) {
		if f := strings.Fields(line); len(f) > 5 && f[0] == mode && f[5] == name {
			return true
		}
	}
	return false
}

// TestRPM reads an .rpm back with rpm.
func TestRPM(t *testing.T) {
	rpm := filepath.Join(pack(t, testEnv(), "--format", "rpm", "--arch", "amd64"), "amp-connector-0.1.0-1.x86_64.rpm")
	for query, want := range map[string]string{
		"--requires":    "/bin/sh\n/usr/sbin/groupadd\n/usr/sbin/useradd\n",
		"--conflicts":   "ciscoampconnector\n",
		"--recommends":  "/usr/sbin/semodule\nlogrotate\nclamav-lib\nlibclamav12\n",
		"--configfiles": "/etc/logrotate.d/cisco-amp\n/opt/cisco/amp/etc/policy.xml\n",
	} {
		if got := tool(t, "rpm", "-qp", query, rpm); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	if got := tool(t, "rpm", "-qp", "--provides", rpm); !strings.Contains(got, "amp-remediate = 0.1.0-1\n") {
		t.Errorf("provides %q", got)
	}
	files := tool(t, "rpm", "-qp", "--qf", `[%{FILEMODES:perms} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILEFLAGS:fflags} %{FILENAMES}\n]`, rpm)
	for _, want := range []string{
		"drwxr-xr-x root:root  /opt/cisco\n",
		"drwxr-xr-x root:root  /var/lib/cisco/amp\n",
		"-rwxr-xr-x root:root  /opt/cisco/amp/bin/ampdaemon\n",
		"-rw-r--r-- root:root cn /opt/cisco/amp/etc/policy.xml\n",
		"-rw-r--r-- root:root  /usr/share/bash-completion/completions/ampcli\n",
		"-rw-r--r-- root:root  /usr/share/fish/vendor_completions.d/amp-install.fish\n",
		"drwxr-xr-x root:root  /usr/share/zsh/site-functions\n",
		"-rw-r--r-- root:root  /usr/share/zsh/site-functions/_amp-remediate\n",
	} {
		if !strings.Contains(files, want) {
			t.Errorf("no %q in\n%s", want, files)
		}
	}
	scripts := tool(t, "rpm", "-qp", "--scripts", rpm)
	for _, want := range []string{"postinst rpm", "preinst rpm", "prerm rpm", "posttrans rpm", "daemon-reload"} {
		if !strings.Contains(scripts, want) {
			t.Errorf("no %q in\n%s", want, scripts)
		}
	}
	if host := tool(t, "rpm", "-qp", "--qf", "%{BUILDHOST} %{BUILDTIME}", rpm); host != "localhost "+epoch {
		t.Errorf("built on and at %q", host)
	}
}

// TestModuleSources has both formats bring what DKMS builds, the same as the programs themselves build, and register none of it.
func TestModuleSources(t *testing.T) {
	out := pack(t, testEnv(), "--package", "amp-connector", "--arch", "amd64")
	for format, unpack := range map[string]string{"deb": `dpkg-deb --fsys-tarfile "$0"/*.deb`, "rpm": `rpm2archive - < "$(echo "$0"/*.rpm)" | gzip -dc`} {
		dir := t.TempDir()
		tool(t, "sh", "-c", unpack+` | tar -x -C "$1"`, out, dir)
		found := map[string][]byte{}
		err := fs.WalkDir(os.DirFS(dir), "usr/src", func(name string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				found["/"+name], err = os.ReadFile(filepath.Join(dir, name))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		want := map[string][]byte{}
		for name, b := range kmod.DKMSTree("0.1.0") {
			want["/usr/src/amp-connector-0.1.0/"+name] = b
		}
		if !maps.EqualFunc(found, want, bytes.Equal) {
			t.Errorf("%s: %q, expected %q, and the same content", format, slices.Sorted(maps.Keys(found)), slices.Sorted(maps.Keys(want)))
		}
	}
	scripts, err := filepath.Glob("packaging/scripts/*")
	hooks, err2 := filepath.Glob("packaging/files/kernel.*")
	if err := errors.Join(err, err2); err != nil || len(scripts) == 0 || len(hooks) == 0 {
		t.Fatalf("%d scripts and %d hooks of kernels, expected some: %v", len(scripts), len(hooks), err)
	}
	for _, name := range append(scripts, hooks...) {
		if b, err := os.ReadFile(name); err != nil || bytes.Contains(b, []byte("dkms")) {
			t.Errorf("%s, which packages run, has DKMS do something, or could not be read: %v", name, err)
		}
	}
}

// TestTool looks at the package of the tool alone: nothing of a service, and no conflict with the vendor's connector.
func TestTool(t *testing.T) {
	out := pack(t, testEnv(), "--package", "amp-remediate", "--arch", "amd64")
	deb, rpm := filepath.Join(out, "amp-remediate_0.1.0-1_amd64.deb"), filepath.Join(out, "amp-remediate-0.1.0-1.x86_64.rpm")
	if got := tool(t, "dpkg-deb", "-f", deb, "Conflicts", "Depends"); strings.TrimSpace(got) != "" {
		t.Errorf("deb: %q", got)
	}
	if got := tool(t, "rpm", "-qp", "--conflicts", "--requires", "--scripts", rpm); got != "" {
		t.Errorf("rpm: %q", got)
	}
	for _, listing := range []string{tool(t, "dpkg-deb", "-c", deb), tool(t, "rpm", "-qlp", rpm)} {
		for _, not := range []string{"ampdaemon", "amp-install", "ampcli", "cisco-amp.service", "policy.xml", "/var", "/usr/src"} {
			if strings.Contains(listing, not) {
				t.Errorf("%s in\n%s", not, listing)
			}
		}
	}
}

// TestSigned signs with a key of its own and has dpkg's archive and rpm's header carry a signature.
func TestSigned(t *testing.T) {
	needs(t, "gpg")
	home, err := os.MkdirTemp("/tmp", "gpg-") // gpg's socket needs a short path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run(); os.RemoveAll(home) })
	tool(t, "gpg", "--homedir", home, "--batch", "--quiet", "--passphrase", "", "--quick-gen-key", "test@example.invalid", "rsa2048", "sign", "never")
	key := filepath.Join(home, "key")
	tool(t, "gpg", "--homedir", home, "--batch", "--quiet", "--output", key, "--export-secret-keys")
	out := pack(t, testEnv(), "--package", "amp-remediate", "--arch", "amd64", "--sign-key", key)
	if got := tool(t, "ar", "t", filepath.Join(out, "amp-remediate_0.1.0-1_amd64.deb")); !strings.Contains(got, "_gpgorigin") {
		t.Errorf("the .deb has %q", got)
	}
	rpm := filepath.Join(out, "amp-remediate-0.1.0-1.x86_64.rpm")
	public, db := filepath.Join(home, "public"), t.TempDir()
	tool(t, "gpg", "--homedir", home, "--batch", "--quiet", "--armor", "--output", public, "--export")
	tool(t, "rpm", "--dbpath", db, "--import", public)
	if got := tool(t, "rpm", "--dbpath", db, "--checksig", rpm); !strings.Contains(got, "signatures OK") {
		t.Errorf("rpm says %q", got)
	}
}

// TestFilesAreUsed finds files that no package has. A command without completions makes no package at all.
func TestFilesAreUsed(t *testing.T) {
	used := map[string]bool{"files/copyright": true}
	for from := range placed {
		used[from] = true
	}
	for name, s := range specs {
		used["files/lintian-overrides/"+name] = true
		for _, m := range s.manuals {
			used["files/man/"+m] = true
		}
		for _, command := range s.commands {
			for _, sh := range shells {
				used["completions/"+command+"."+sh.name] = true
			}
		}
	}
	for _, dir := range []string{"files", "files/man", "files/lintian-overrides", "completions"} {
		entries, err := shipped.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if name := dir + "/" + e.Name(); !e.IsDir() && !used[name] {
				t.Errorf("%s is in no package", name)
			}
		}
	}
}

func TestShellcheck(t *testing.T) {
	scripts, err := filepath.Glob("scripts/*")
	if err != nil || len(scripts) == 0 {
		t.Fatal(scripts, err)
	}
	tool(t, "shellcheck", scripts...)
}

// TestOverridesHaveReasons wants a comment before each override.
func TestOverridesHaveReasons(t *testing.T) {
	for name := range specs {
		b, err := shipped.ReadFile("files/lintian-overrides/" + name)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(string(b)), "\n")
		for i, l := range lines {
			if !strings.HasPrefix(l, "#") && (i == 0 || !strings.HasPrefix(lines[i-1], "#")) {
				t.Errorf("%s: no reason for %q", name, l)
			}
		}
	}
}
