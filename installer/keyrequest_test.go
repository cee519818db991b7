package installer

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/policy"
	"github.com/ampconnector/amp/kmod"
)

const (
	variables = "/sys/firmware/efi/efivars"
	requests  = variables + "/MokNew-605dab50-e046-4300-abb6-3dd810dd8b23"
)

// askFirmware stands in for mokutil 0.6: it wants the same password twice and leaves the certificate in shim's variable, as an EFI signature list.
const askFirmware = `#!/bin/sh
new=${0%/usr/bin/mokutil}` + requests + `
le32() { for shift in 0 8 16 24; do printf "\\$(printf %o $(($1 >> shift & 255)))"; done; }
case $1 in
--import)
	read -r one && read -r two && test ${#one} -ge 8 && test "$one" = "$two" || exit 1
	size=$(wc -c <"$2")
	{
		printf '\7\0\0\0\241\131\300\245\344\224\247\112\207\265\253\025\134\053\360\162'
		le32 $((size + 44)); le32 0; le32 $((size + 16)); printf 0123456789abcdef; cat "$2"
	} >"$new.tmp" && sync "$new.tmp" && mv "$new.tmp" "$new" && sync "${new%/*}" && echo "input password: "
	;;
--revoke-import) rm -f "$new" && sync "${new%/*}" ;;
*) exit 1 ;;
esac
`

// newFirmware makes a root with UEFI and shim.
func newFirmware(t *testing.T) scratch {
	t.Helper()
	s := scratch{t.TempDir()}
	s.write(t, variables+"/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c", "\x06\x00\x00\x00\x01", 0o644)
	s.write(t, "/usr/bin/mokutil", askFirmware, 0o755)
	return s
}

func keyPlan(_ context.Context, h *Host) Plan {
	return Plan{Name: "fault-8", Items: KeyItems(&health.Facts{Host: host.Facts{
		Root: h.Root.Dir(), ModuleLoading: host.ModuleLoading{SecureBoot: host.SecureBootOf(h.Root)},
	}})}
}

func init() { sweepPlans["module-key"] = keyPlan }

// request is the certificate that the firmware is asked for, nil if none.
func request(root string) ([]byte, error) {
	r := host.SecureBootOf(host.At(root)).Requested
	if r.Err != nil || len(r.Value) == 0 {
		return nil, r.Err
	}
	return r.Value[0], nil
}

func TestKeyRequestSweep(t *testing.T) {
	look := func(planned bool) func(string) error {
		return func(root string) error {
			keys, err := kmod.FindSigningKeys(host.At(root), kmod.KeyFiles{})
			if err != nil {
				return err
			}
			asked, err := request(root)
			switch {
			case err != nil:
				return err
			case len(keys) == 0 && (planned || asked != nil):
				return errors.New("no key")
			case planned && !bytes.Equal(asked, keys[0].Certificate.Raw):
				return errors.New("the key is not asked for")
			}
			return nil
		}
	}
	sweep{plan: "module-key", root: func(t *testing.T) string { return newFirmware(t).dir }, recovered: look(false), planned: look(true)}.run(t)
}

func TestKeyRequest(t *testing.T) {
	s := newFirmware(t)
	s.write(t, "/var/lib/dkms/mok.key", "of no use", 0o600)
	var log bytes.Buffer
	h := NewHost(host.At(s.dir), slog.New(slog.NewTextHandler(&log, nil)))
	plan := keyPlan(t.Context(), h)
	results, err := Run(t.Context(), h, plan, Options{})
	if err != nil || len(results) != 3 || results[0].Outcome != Done || results[1].Outcome != Done || results[2].Outcome != Manual {
		t.Fatalf("%+v, %v", results, err)
	}
	told := results[1].Item.Step.(Teller).Told()
	password := told.EN[strings.LastIndexByte(told.EN, ' ')+1:]
	if len(password) != passwordLength || !strings.HasSuffix(told.JA, password) {
		t.Errorf("told %q", told)
	}
	key, err := os.Stat(filepath.Join(s.dir, kmod.OwnKeyFile))
	if err != nil || key.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", key, err)
	}
	// Nowhere but on the terminal.
	if strings.Contains(log.String(), password) || !strings.Contains(log.String(), "mokutil --import") {
		t.Errorf("the log has the password, or not the command:\n%s", log.String())
	}
	err = filepath.Walk(s.dir, func(path string, fi os.FileInfo, err error) error {
		if err != nil || fi.IsDir() {
			return err
		}
		if b, _ := os.ReadFile(path); bytes.Contains(b, []byte(password)) {
			t.Errorf("%s has the password", path)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}

	again, err := Run(t.Context(), h, keyPlan(t.Context(), h), Options{})
	if err != nil || len(again) != 2 || again[0].Outcome != Skipped {
		t.Errorf("what is asked for is asked for again: %+v, %v", again, err)
	}
	if told := again[0].Item.Step.(Teller).Told(); told.EN != "" {
		t.Errorf("told %q of nothing", told.EN)
	}
	if err := os.Remove(filepath.Join(s.dir, requests)); err != nil { // the firmware threw it away
		t.Fatal(err)
	}
	if again, err := Run(t.Context(), h, keyPlan(t.Context(), h), Options{}); err != nil || again[0].Outcome != Done {
		t.Errorf("what is gone is not asked for again: %+v, %v", again, err)
	}
}

func TestKeyRequestThatLeavesNone(t *testing.T) {
	s := newFirmware(t)
	s.write(t, "/usr/bin/mokutil", "#!/bin/sh\nexit 0\n", 0o755)
	h := NewHost(host.At(s.dir), nil)
	_, err := Run(t.Context(), h, keyPlan(t.Context(), h), Options{})
	if err == nil || !strings.Contains(err.Error(), "mokutil: ended well, and "+requests+" does not have "+kmod.OwnCertificateFile) {
		t.Errorf("%v", err)
	}
}

func TestKeyItems(t *testing.T) {
	s := newFirmware(t)
	key, certificate, err := kmod.MakeSigningKey("x", NewHost(host.At(s.dir), nil).Now())
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, "/var/lib/dkms/mok.key", string(key), 0o600)
	s.write(t, "/var/lib/dkms/mok.pub", string(certificate), 0o644)
	keys, err := kmod.FindSigningKeys(host.At(s.dir), kmod.KeyFiles{})
	if err != nil || len(keys) != 1 {
		t.Fatal(keys, err)
	}
	list := host.Read([][]byte{certificate}, "efivars")
	none := host.Read[[][]byte](nil, "efivars")
	for name, c := range map[string]struct {
		m    host.ModuleLoading
		want string
	}{
		"trusted":       {host.ModuleLoading{Keys: host.Read([]host.KernelKey{{ID: keys[0].ID()}}, "/proc/keys")}, ""},
		"enrolled":      {host.ModuleLoading{SecureBoot: host.SecureBoot{UEFI: host.Read(true, "efi"), Enrolled: list, Requested: none}}, "manual"},
		"requested":     {host.ModuleLoading{SecureBoot: host.SecureBoot{UEFI: host.Read(true, "efi"), Enrolled: none, Requested: list}}, "key-request /var/lib/dkms/mok.pub manual"},
		"not requested": {host.ModuleLoading{SecureBoot: host.SecureBoot{UEFI: host.Read(true, "efi"), Enrolled: none, Requested: none}}, "key-request /var/lib/dkms/mok.pub manual"},
		"no UEFI":       {host.ModuleLoading{SecureBoot: host.SecureBoot{UEFI: host.Read(false, "efi"), Enrolled: none, Requested: none}}, "manual"},
		"not known":     {host.ModuleLoading{SecureBoot: host.SecureBoot{Enrolled: host.NotKnown[[][]byte]("efivars", os.ErrPermission)}}, "manual"},
	} {
		var got []string
		for _, item := range KeyItems(&health.Facts{Host: host.Facts{Root: s.dir, ModuleLoading: c.m}}) {
			if r, ok := item.Step.(*KeyRequest); ok {
				got = append(got, r.Kind(), r.Certificate)
				continue
			}
			got = append(got, "manual")
			if item.Manual.EN == "" || item.Manual.JA == "" {
				t.Errorf("%s: %+v", name, item)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q, expected %q", name, got, c.want)
		}
	}
	bare := newFirmware(t)
	f := &health.Facts{Host: host.Facts{Root: bare.dir, ModuleLoading: host.ModuleLoading{SecureBoot: host.SecureBoot{UEFI: host.Read(true, "efi"), Enrolled: none, Requested: none}}}}
	f.Policy.Value.ModuleKey = policy.ModuleKey{Key: "/etc/keys/a.key", Certificate: "/etc/keys/a.der"}
	if items := KeyItems(f); len(items) != 1 || !strings.Contains(items[0].Manual.EN, "a.key: no such file") {
		t.Errorf("the policy names a key that is not there: %+v", items)
	}
}
