package kmod

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/host"
)

func packed(t testing.TB, by string, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	var err error
	switch by {
	case "gz":
		w = gzip.NewWriter(&out)
	case "xz":
		w, err = xz.NewWriter(&out)
	case "zst":
		w, err = zstd.NewWriter(&out)
	}
	if err == nil {
		_, err = w.Write(b)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// A module is found wherever depmod has it, packed in each way that kernels have.
func TestInstalled(t *testing.T) {
	const release = "5.14.0-1.el9.x86_64"
	module := ourModule(t, FileModule, release)
	for file, content := range map[string][]byte{
		"extra/ampfsm.ko": module, "updates/dkms/ampfsm.ko.gz": packed(t, "gz", module), "extra/ampfsm.ko.xz": packed(t, "xz", module),
		"weak-updates/ampfsm.ko.zst": packed(t, "zst", module),
	} {
		r := host.At(t.TempDir())
		plantFile(t, r.Dir(), "/lib/modules/"+release+"/modules.dep", []byte("kernel/fs/x.ko.xz:\n"+file+": kernel/fs/x.ko.xz\n"))
		plantFile(t, r.Dir(), "/lib/modules/"+release+"/"+file, content)
		from, b, err := modules[0].installed(r, release)
		if err != nil || from != "/lib/modules/"+release+"/"+file || !bytes.Equal(b, module) {
			t.Errorf("%s: %d bytes from %s, %v", file, len(b), from, err)
		}
		if _, _, err := modules[1].installed(r, release); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, expected none of the other name", file, err)
		}
	}
}

func TestUnpackDamaged(t *testing.T) {
	module := bytes.Repeat([]byte("module "), 1000)
	for _, by := range []string{"gz", "xz", "zst"} {
		whole := packed(t, by, module)
		for name, b := range map[string][]byte{"cut off": whole[:len(whole)-9], "other": module, "empty": nil} {
			if out, err := unpack("."+by, b); err == nil && len(out) > 0 || err != nil && !errors.Is(err, errPacked) {
				t.Errorf("%s, %s: %d bytes, %v", by, name, len(out), err)
			}
		}
		if by == "xz" { // its library packs so much in ten seconds
			continue
		}
		if _, err := unpack("."+by, packed(t, by, make([]byte, maxModule+1))); !errors.Is(err, host.ErrTooLarge) && !errors.Is(err, zstd.ErrDecoderSizeExceeded) {
			t.Errorf("%s: %v, expected that it is too large", by, err)
		}
	}
	if _, err := unpack(".lz4", module); !errors.Is(err, errPacked) {
		t.Errorf("%v", err)
	}
}

func TestLoadFirst(t *testing.T) {
	unsigned := &Refusal{Cause: Unsigned, Err: unix.EKEYREJECTED}
	disabled := &Refusal{Cause: LoadingDisabled, Err: unix.EPERM}
	for name, c := range map[string]struct {
		outcomes []error
		tried    int
		want     error
	}{
		"the first":                       {[]error{nil, disabled}, 1, nil},
		"the second":                      {[]error{fs.ErrNotExist, nil}, 2, nil},
		"the first is another version's":  {[]error{errOtherSources, nil}, 2, nil},
		"the first is another kernel's":   {[]error{&Refusal{Cause: OtherKernel, Err: unix.ENOEXEC}, nil}, 2, nil},
		"the first cannot be unpacked":    {[]error{errPacked, nil}, 2, nil},
		"the second is signed":            {[]error{unsigned, nil}, 2, nil},
		"none is signed":                  {[]error{unsigned, fs.ErrNotExist}, 2, unsigned},
		"the second is not signed":        {[]error{fs.ErrNotExist, unsigned}, 2, unsigned},
		"none can be loaded":              {[]error{disabled, nil}, 1, disabled},
		"none is there":                   {[]error{fs.ErrNotExist, errPacked}, 2, errPacked},
		"there is, and it is not allowed": {[]error{unsigned, disabled}, 2, disabled},
	} {
		tried := 0
		var ways []func() error
		for _, err := range c.outcomes {
			ways = append(ways, func() error { tried++; return err })
		}
		if err := loadFirst(ways...); !errors.Is(err, c.want) || tried != c.tried {
			t.Errorf("%s: %v after %d, expected %v after %d", name, err, tried, c.want, c.tried)
		}
	}
}

// A module of another version is not loaded, whoever built it: its records and settings may be others.
func TestOtherVersionIsNotLoaded(t *testing.T) {
	const release = "6.1.0-1-amd64"
	other := fakeModule(t, "name=ampfsm", "vermagic="+release+" SMP", "amp_sources=0123456789abcdef")
	r := host.At(t.TempDir())
	l := &loader{root: r, kernel: host.Kernel{Release: release}}
	plantFile(t, r.Dir(), PrebuiltDir+"/"+release+"/ampfsm.ko", other)
	plantFile(t, r.Dir(), "/lib/modules/"+release+"/modules.dep", []byte("updates/dkms/ampfsm.ko.xz:\n"))
	plantFile(t, r.Dir(), "/lib/modules/"+release+"/updates/dkms/ampfsm.ko.xz", packed(t, "xz", other))
	for name, err := range map[string]error{
		"prebuilt": l.load(&modules[0], PrebuiltDir+"/"+release, signedDir(release)), "by DKMS": l.loadInstalled(&modules[0]),
	} {
		if !errors.Is(err, errOtherSources) || !unfit(err) {
			t.Errorf("%s: %v, expected %v", name, err, errOtherSources)
		}
	}
}
