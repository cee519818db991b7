package host

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestRootNeverLeavesTheImage(t *testing.T) {
	r := tree{
		"etc/real":          "inside",
		"etc/absolute":      "-> /etc/real",
		"etc/climb":         "-> ../../../../../../etc/real",
		"etc/chain":         "-> absolute",
		"etc/folder":        "-> /elsewhere",
		"elsewhere/real":    "through a folder",
		"etc/loop":          "-> loop",
		"etc/out":           "-> /proc/self/root/etc/passwd",
		"etc/passwd-escape": "-> ../../../../../../../../etc/passwd",
	}.root(t)
	for name, want := range map[string]string{
		"/etc/absolute": "inside", "/etc/climb": "inside", "/etc/chain": "inside", "etc/real": "inside",
		"/etc/folder/real": "through a folder", "../../etc/real": "inside",
	} {
		b, err := r.ReadFile(name, 100)
		if err != nil || string(b) != want {
			t.Errorf("%s: %q, %v; want %q", name, b, err, want)
		}
	}
	for _, name := range []string{"/etc/loop", "/etc/out", "/etc/passwd-escape"} {
		if b, err := r.ReadFile(name, 1<<20); err == nil {
			t.Errorf("%s was read from outside the root: %.20q", name, b)
		}
	}
	if to, err := r.Readlink("/etc/absolute"); err != nil || to != "/etc/real" {
		t.Errorf("Readlink: %q, %v", to, err)
	}
	if fi, err := r.Lstat("/etc/folder"); err != nil || fi.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("Lstat followed a link: %v, %v", fi, err)
	}
	if fi, err := r.Stat("/etc/folder"); err != nil || !fi.IsDir() {
		t.Errorf("Stat did not follow a link: %v, %v", fi, err)
	}
}

func TestReadFileRefusesWhatIsNoFile(t *testing.T) {
	r := tree{"etc/folder/": "", "etc/long": strings.Repeat("x", 101), "etc/fits": strings.Repeat("x", 100)}.root(t)
	fifo := filepath.Join(r.Dir(), "etc/fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(r.Dir()) // the path of a socket has a short limit
	l, err := net.Listen("unix", "etc/socket")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, want := range map[string]struct {
		err  error
		text string
	}{
		"/etc/folder": {ErrNotRegular, "a directory"},
		"/etc/fifo":   {ErrNotRegular, "a FIFO"},
		"/etc/socket": {ErrNotRegular, "a socket"},
		"/etc/long":   {ErrTooLarge, "more than 100 bytes"},
		"/etc/absent": {fs.ErrNotExist, "no such file"},
	} {
		done := make(chan error, 1)
		go func() { _, err := r.ReadFile(name, 100); done <- err }()
		select {
		case err := <-done:
			if !errors.Is(err, want.err) || !strings.Contains(err.Error(), want.text) || !strings.Contains(err.Error(), r.Dir()+name) {
				t.Errorf("%s: %v; want %v, %q and the path", name, err, want.err, want.text)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: reading blocks", name)
		}
	}
	if b, err := r.ReadFile("/etc/fits", 100); err != nil || len(b) != 100 {
		t.Errorf("a file of exactly the limit: %d bytes, %v", len(b), err)
	}
	if _, err := At("/").ReadFile("/dev/null", 100); !errors.Is(err, ErrNotRegular) {
		t.Errorf("/dev/null: %v", err)
	}
}

func TestRootCheck(t *testing.T) {
	r := tree{"file": "x", "folder/": ""}.root(t)
	for dir, want := range map[string]error{
		"":                  nil,
		r.Dir():             nil,
		r.Dir() + "/folder": nil,
		r.Dir() + "/file":   unix.ENOTDIR,
		"/nonexistent":      fs.ErrNotExist,
	} {
		if err := At(dir).Check(); !errors.Is(err, want) {
			t.Errorf("Check of %q: %v, want %v", dir, err, want)
		}
	}
	if At("/tmp/..").Live() == false || At("/tmp/../").Dir() != "/" {
		t.Error("/tmp/.. is not the running host")
	}
	t.Chdir(r.Dir())
	if got := At("folder").Dir(); got != filepath.Join(mustWd(t), "folder") {
		t.Errorf("a relative root is %s", got)
	}
}

func mustWd(t *testing.T) string {
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return wd
}

func TestFindTool(t *testing.T) {
	r := tree{
		"usr/bin/semodule":         "#!",
		"usr/sbin/useradd":         "-> /etc/alternatives/useradd",
		"etc/alternatives/useradd": "-> /usr/bin/semodule",
		"usr/bin/folder/":          "",
		"usr/bin/dangling":         "-> /usr/bin/gone",
		"usr/bin/plain":            "x",
		"opt/other":                "#!",
	}.root(t)
	if err := os.Chmod(r.Dir()+"/usr/bin/plain", 0o644); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"semodule": "/usr/bin/semodule", "useradd": "/usr/sbin/useradd", "folder": "", "dangling": "", "plain": "", "other": "",
		"": "", "../../opt/other": "", "absent": "",
	} {
		if got, ok := FindTool(r, name); got != want || ok != (want != "") {
			t.Errorf("FindTool(%q) = %q, %v; want %q", name, got, ok, want)
		}
	}
}
