package kmod

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/bpf/layout"
	"github.com/ampconnector/amp/internal/host"
)

func TestLoadSigned(t *testing.T) {
	r, key := keyHost(t)
	dir := t.TempDir()
	plain, signed := filepath.Join(dir, "ampfsm.ko"), filepath.Join(dir, "signed", "ampfsm.ko")
	if err := os.WriteFile(plain, []byte("module"), 0o644); err != nil {
		t.Fatal(err)
	}
	trusting := host.ModuleLoading{Keys: host.Read([]host.KernelKey{{Keyring: ".machine", ID: key.ID()}}, "/proc/keys")}
	none := host.Read[[][]byte](nil, "efivars")
	pending := host.ModuleLoading{SecureBoot: host.SecureBoot{Enrolled: none, Requested: none}}
	for name, c := range map[string]struct {
		root  host.Root
		asked host.ModuleLoading
		cause Cause
		want  []string // files that are tried, and whether that goes well
		err   bool
	}{
		"taken as it is":              {r, trusting, "", []string{plain}, false},
		"taken with a signature":      {r, trusting, LockedDown, []string{plain, signed}, false},
		"another key's":               {r, trusting, UnknownKey, []string{plain, signed}, false},
		"changed since it was signed": {r, trusting, BadSignature, []string{plain}, true},
		"a signature helps little":    {r, trusting, UnknownSymbol, []string{plain}, true},
		"the key is not trusted":      {r, pending, Unsigned, []string{plain}, true},
		"there is no key":             {host.At(t.TempDir()), trusting, Unsigned, []string{plain}, true},
	} {
		os.RemoveAll(filepath.Dir(signed))
		var tried []string
		err := (&loader{root: c.root}).loadSigned(func() host.ModuleLoading { return c.asked }, plain, signed, func(name string) error {
			tried = append(tried, name)
			b, err := os.ReadFile(name)
			if err != nil || c.cause == "" || SignedBy(b, key.Certificate) {
				return err
			}
			return &Refusal{Cause: c.cause, Err: unix.EKEYREJECTED}
		})
		if !slices.Equal(tried, c.want) || (err != nil) != c.err || c.err && !errors.Is(err, unix.EKEYREJECTED) {
			t.Errorf("%s: tried %q, %v", name, tried, err)
		}
	}
	if b, err := os.ReadFile(plain); err != nil || string(b) != "module" {
		t.Errorf("the module that was there is now %q, %v", b, err)
	}
}

func TestOutcomeHasTheCause(t *testing.T) {
	r := host.At(t.TempDir())
	plantFile(t, r.Dir(), OutcomePath, nil)
	refused := map[string]error{
		FileModule:    &Refusal{Cause: LockedDown, Detail: "lockdown: integrity", Said: []string{"Lockdown: x"}, Module: FileModule, Err: unix.EPERM},
		NetworkModule: ErrForeign,
	}
	if err := Keep(r, "6.1.0", refused); err != nil {
		t.Fatal(err)
	}
	o := readOutcome(r)
	if o.Err != nil || o.Value.Causes[FileModule] != LockedDown || o.Value.Causes[NetworkModule] != NameTaken {
		t.Errorf("%+v", o)
	}
	if o.Value.Unbuilt != "" {
		t.Errorf("unbuilt %q, expected nothing", o.Value.Unbuilt)
	}
	if why := o.Value.Refused[FileModule]; why != "the kernel is locked down and loads only modules that are signed with a key that it trusts: lockdown: integrity: operation not permitted (the kernel: Lockdown: x)" {
		t.Errorf("%q", why)
	}
}

// One that came and does not fit, and none that could be built in its place: both are told, since either one mended is enough.
func TestOutcomeOfBoth(t *testing.T) {
	r := host.At(t.TempDir())
	plantFile(t, r.Dir(), OutcomePath, nil)
	changed := &Refusal{Cause: BadSignature, Detail: "/x/ampfsm.ko", Module: FileModule, File: "/x/ampfsm.ko", Err: unix.EKEYREJECTED}
	both := errors.Join(changed, &layout.Error{Why: layout.NoHeaders, From: "/lib/modules/6.1.0/build"})
	if err := Keep(r, "6.1.0", map[string]error{FileModule: both}); err != nil {
		t.Fatal(err)
	}
	o := readOutcome(r)
	if o.Err != nil || o.Value.Causes[FileModule] != BadSignature || o.Value.Unbuilt != layout.NoHeaders {
		t.Errorf("%+v", o)
	}
	for _, want := range []string{"its content does not match its signature: /x/ampfsm.ko: key was rejected by service; ", "/lib/modules/6.1.0/build"} {
		if why := o.Value.Refused[FileModule]; !strings.Contains(why, want) {
			t.Errorf("%q, expected %q in it", why, want)
		}
	}
}

func TestUnfit(t *testing.T) {
	for _, c := range []struct {
		cause Cause
		errno unix.Errno
		want  bool
	}{
		{BadSignature, unix.EKEYREJECTED, true}, {UnknownKey, unix.EKEYREJECTED, false}, {Unsigned, unix.EKEYREJECTED, false}, {LockedDown, unix.EPERM, false},
		{OtherKernel, unix.ENOEXEC, true}, {OtherKernel, unix.EINVAL, true}, {UnknownSymbol, unix.ENOENT, true}, {NoMemory, unix.ENOMEM, false},
	} {
		if got := unfit(&Refusal{Cause: c.cause, Err: c.errno}); got != c.want {
			t.Errorf("%s (%v): unfit %t", c.cause, c.errno, got)
		}
	}
}
