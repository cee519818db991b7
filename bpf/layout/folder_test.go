package layout

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/ulikunitz/xz"

	"github.com/ampconnector/amp/internal/host"
)

// archive has one member, as those of BTFHub.
func archive(t testing.TB, member string, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := xz.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	err = w.WriteHeader(&tar.Header{Name: member, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content))})
	_, wrote := w.Write(content)
	if err := errors.Join(err, wrote, w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// someTypes are as little BTF as a kernel's may have: it is packed in no time.
func someTypes(t testing.TB) []byte {
	t.Helper()
	member := btf.Member{Name: "pid", Type: &btf.Int{Name: "int", Size: 4}}
	b, err := btf.NewBuilder([]btf.Type{&btf.Struct{Name: "task_struct", Size: 4, Members: []btf.Member{member}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	types, err := b.Marshal(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return types
}

func half(b []byte) []byte { return b[:len(b)/2] }

// turned has other bytes in its middle.
func turned(b []byte) []byte {
	b = slices.Clone(b)
	for i := len(b) / 3; i < len(b)/3+64 && i < len(b); i++ {
		b[i] ^= 0xff
	}
	return b
}

// Whoever may change a file of a folder for them decides what the programs read of the kernel.
func TestFilesOfOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give files to another user")
	}
	const release = "6.1.0-56-amd64"
	types := someTypes(t)
	for _, c := range []struct {
		name, link string // the policy's folder is a link to it
		change     func(dir string) error
		told       string // "": it is used
	}{
		{"root's alone", "", func(string) error { return nil }, ""},
		{"a file that its group may write", "", func(dir string) error { return os.Chmod(dir+"/srv/btf/"+release+".btf", 0o664) },
			"/srv/btf/" + release + ".btf has owner 0 and mode 0664, expected owner 0, and no right to write for group and others"},
		{"a file of another user's", "", func(dir string) error { return os.Chown(dir+"/srv/btf/"+release+".btf", 1234, 0) }, ".btf has owner 1234 and mode 0644"},
		{"a folder that all may write", "", func(dir string) error { return os.Chmod(dir+"/srv/btf", 0o777) }, "/srv/btf has owner 0 and mode 0777"},
		{"a folder in another user's", "", func(dir string) error { return os.Chown(dir+"/srv", 1234, 0) }, "/srv has owner 1234 and mode 0755"},
		{"a link to root's", "/opt/files", func(string) error { return nil }, ""},
		{"a link into another user's", "/home/u/btf", func(dir string) error { return os.Chown(dir+"/home/u", 1234, 0) }, "/home/u has owner 1234 and mode 0755"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if c.link != "" {
				put(t, filepath.Join(dir, c.link, release+".btf"), types)
				if err := errors.Join(os.MkdirAll(dir+"/srv", 0o755), os.Symlink(c.link, dir+"/srv/btf")); err != nil {
					t.Fatal(err)
				}
			} else {
				put(t, filepath.Join(dir, "/srv/btf", release+".btf"), types)
			}
			if err := c.change(dir); err != nil {
				t.Fatal(err)
			}
			found := Store{Dir: Dir, Folder: "/srv/btf"}.Find(host.At(dir), release, nil)
			if c.told == "" {
				if found.Value.Origin != External || len(found.Value.Passed) != 0 {
					t.Errorf("%+v, expected the file", found)
				}
				return
			}
			passed := found.Value.Passed
			if found.Value.Origin == External || len(passed) != 1 || passed[0].Why != OthersWrite || !strings.Contains(passed[0].Detail, c.told) {
				t.Errorf("passed over %v of %+v, expected one with %q", passed, found, c.told)
			}
			put(t, filepath.Join(dir, ExternalDir, release+".btf"), types)
			if found = (Store{Dir: Dir, Folder: "/srv/btf"}).Find(host.At(dir), release, nil); found.Value.From != ExternalDir+"/"+release+".btf" {
				t.Errorf("from %s, expected the next folder's", found.Value.From)
			}
		})
	}
}

// A folder of the policy that is not there is told: it is misspelt, or a share that is not mounted.
func TestNoFolder(t *testing.T) {
	const release = "6.1.0-56-amd64"
	dir := t.TempDir()
	put(t, filepath.Join(dir, "/srv/file"), nil)
	for _, folder := range []string{"/srv/none", "/srv/file"} {
		found := Store{Dir: Dir, Folder: folder}.Find(host.At(dir), release, nil)
		if p := found.Value.Passed; !found.Known() || len(p) != 1 || p[0].From != folder || p[0].Why != Malformed {
			t.Errorf("%s: %+v, expected that it is told", folder, found)
		}
	}
}

// Two distributions may have a release in common, and what they built of it differ.
func TestOwnDistributionFirst(t *testing.T) {
	const release = "4.15.0-20-generic"
	types := someTypes(t)
	machine := hubMachines[runtime.GOARCH]
	for _, c := range []struct{ id, version, want string }{
		{"ubuntu", "18.04", "ubuntu/18.04/"}, {"ubuntu", "16.04", "ubuntu/16.04/"}, {"rhel", "8.6", "rhel/8/"}, {"arch", "", "centos/8/"},
	} {
		dir := t.TempDir()
		r := host.At(dir)
		for _, d := range []string{"centos/8", "rhel/8", "ubuntu/16.04", "ubuntu/18.04"} {
			put(t, filepath.Join(dir, "/srv/btf", d, machine, release+".btf"), types)
		}
		put(t, filepath.Join(dir, "/etc/os-release"), []byte("ID="+c.id+"\nVERSION_ID="+c.version+"\n"))
		s := Store{Dir: Dir, Folder: "/srv/btf"}
		want := "/srv/btf/" + c.want + machine + "/" + release + ".btf"
		if got := s.Find(r, release, nil); got.Value.From != want {
			t.Errorf("%s %s: from %s, expected %s", c.id, c.version, got.Value.From, want)
		}
		if places := s.Places(r, release); c.version != "" && !slices.Contains(places, want) || !slices.Contains(places, ExternalDir+"/"+release+".btf.tar.xz") {
			t.Errorf("%s %s: %q lacks %s", c.id, c.version, places, want)
		}
	}
}

func TestUnpack(t *testing.T) {
	var b bytes.Buffer
	z, err := xz.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	for range maxMembers {
		if err := w.WriteHeader(&tar.Header{Name: "x", Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.WriteHeader(&tar.Header{Name: "large.btf", Typeflag: tar.TypeReg, Size: maxBTF + 1}); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := unpack(bytes.NewReader(b.Bytes()), members("large")); err == nil || !strings.Contains(err.Error(), "expected large.btf") {
		t.Errorf("behind %d others: %v", maxMembers, err)
	}
	large := func() []byte {
		var b bytes.Buffer
		z, _ := xz.NewWriter(&b)
		tar.NewWriter(z).WriteHeader(&tar.Header{Name: "large.btf", Typeflag: tar.TypeReg, Size: maxBTF + 1})
		z.Close()
		return b.Bytes()
	}()
	if _, err := unpack(bytes.NewReader(large), members("large")); !errors.Is(err, host.ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	release := "3.10.0-1062.el7" + kernelMachines[runtime.GOARCH]
	for member, found := range map[string]bool{release + ".btf": true, "3.10.0-1062.el7.btf": true, "./3.10.0-1062.el7.btf": true, "3.10.0-1062.el8.btf": false} {
		if b, err := unpack(bytes.NewReader(archive(t, member, []byte("types"))), members(release)); (string(b) == "types") != found || (err == nil) != found {
			t.Errorf("%s of %s: %q, %v", member, release, b, err)
		}
	}
}
