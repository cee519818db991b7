package host

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strconv"
	"strings"
	"testing"
)

// signatureList is an EFI_SIGNATURE_LIST with entries of one size.
func signatureList(kind [16]byte, entries ...string) string {
	size := signatureOwner + len(entries[0])
	b := append([]byte(nil), kind[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(signatureHead+len(entries)*size))
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(size))
	for _, e := range entries {
		b = append(b, strings.Repeat("o", signatureOwner)+e...)
	}
	return string(b)
}

const (
	attributes = "\x06\x00\x00\x00"
	vars       = "sys/firmware/efi/efivars/"
)

func TestSecureBoot(t *testing.T) {
	on := func(value string) tree { return tree{vars + "SecureBoot-" + globalGUID: attributes + value} }
	for name, c := range map[string]struct {
		tree       tree
		on, checks string // "yes", "no", or part of the error
	}{
		"on":                 {on("\x01"), "yes", "yes"},
		"off":                {on("\x00"), "no", "yes"},
		"no UEFI":            {tree{"sys/firmware/acpi/": ""}, "no", "no"},
		"no such variable":   {tree{vars + "Boot0000-" + globalGUID: attributes}, "no", "yes"},
		"nothing mounted":    {tree{vars: ""}, "not mounted", "not mounted"},
		"no /sys":            {tree{"sys/": ""}, "not mounted", "not mounted"},
		"two bytes":          {on("\x01\x01"), "expected one byte", "yes"},
		"another value":      {on("\x02"), "expected one byte", "yes"},
		"no attributes":      {tree{vars + "SecureBoot-" + globalGUID: "\x06"}, "malformed: 1 bytes", "yes"},
		"validation off":     {tree{vars + "MokSBStateRT-" + shimGUID: attributes + "\x01"}, "no", "no"},
		"validation unclear": {tree{vars + "MokSBStateRT-" + shimGUID + "/": ""}, "no", "not a regular file"},
	} {
		s := SecureBootOf(c.tree.root(t))
		if got := threeValued(s.On); !strings.Contains(got, c.on) {
			t.Errorf("%s: Secure Boot is %s, expected %s", name, got, c.on)
		}
		if uefi := threeValued(s.UEFI); uefi != map[string]string{"no UEFI": "no", "no /sys": "/sys/firmware: not mounted"}[name] && uefi != "yes" {
			t.Errorf("%s: UEFI is %s", name, uefi)
		}
		if got := threeValued(s.Validation); !strings.Contains(got, c.checks) {
			t.Errorf("%s: validation is %s, expected %s", name, got, c.checks)
		}
	}
}

func threeValued(r Reading[bool]) string {
	switch {
	case !r.Known():
		return r.Err.Error()
	case r.Value:
		return "yes"
	}
	return "no"
}

func TestOwnersKeys(t *testing.T) {
	hashes := [16]byte{0x26}
	r := tree{
		vars + "MokListRT-" + shimGUID: attributes + signatureList(hashes, strings.Repeat("h", 32)) + signatureList(x509List, "cert1", "cert2") + signatureList(x509List, "c3"),
		vars + "MokNew-" + shimGUID:    attributes + signatureList(x509List, "cert4")[:40],
	}.root(t)
	s := SecureBootOf(r)
	if got := string(bytes.Join(s.Enrolled.Value, []byte(" "))); s.Enrolled.Err != nil || got != "cert1 cert2 c3" {
		t.Errorf("enrolled %q, %v", got, s.Enrolled.Err)
	}
	if !errors.Is(s.Requested.Err, ErrMalformed) || !strings.Contains(s.Requested.Err.Error(), "MokNew") {
		t.Errorf("a list that is cut off: %v", s.Requested.Err)
	}
	if none := SecureBootOf(tree{vars + "x": ""}.root(t)); none.Requested.Err != nil || none.Requested.Value != nil {
		t.Errorf("nothing requested: %+v", none.Requested)
	}
}

// A list that is longer than the firmware's variables may be is in several, or whole in shim's table.
func TestKeysInSeveralVariables(t *testing.T) {
	certs := func(names ...string) string { return signatureList(x509List, names...) }
	hashes := signatureList([16]byte{0x26}, strings.Repeat("h", 32))
	list := func(i string) string { return vars + "MokListRT" + i + "-" + shimGUID }
	many := tree{list(""): attributes + certs("first")}
	for i := range maxMokParts {
		many[list(strconv.Itoa(i+1))] = attributes + certs("c")
	}
	full := make([]string, maxCertificates)
	for i := range full {
		full[i] = "c"
	}
	for name, c := range map[string]struct {
		tree tree
		want string // the certificates, or part of the error
	}{
		"three":                      {tree{list(""): attributes + certs("a1", "a2"), list("1"): attributes + certs("b1"), list("2"): attributes + certs("c1"), list("4"): attributes + certs("no")}, "a1 a2 b1 c1"},
		"hashes first":               {tree{list(""): attributes + hashes, list("1"): attributes + certs("b1")}, "b1"},
		"a part with hashes":         {tree{list(""): attributes + certs("a1"), list("1"): attributes + hashes, list("2"): attributes + certs("c1")}, "a1 c1"},
		"no first":                   {tree{list("1"): attributes + certs("b1")}, ""},
		"a part that is cut off":     {tree{list(""): attributes + certs("a1"), list("1"): attributes + certs("b1")[:30]}, "MokListRT1-" + shimGUID + ": offset 0: malformed"},
		"the table":                  {tree{mokTable[1:]: certs("t1", "t2"), list(""): attributes + certs("t1")}, "t1 t2"},
		"a table that is cut off":    {tree{mokTable[1:]: certs("t1", "t2")[:30], list(""): attributes + certs("t1")}, "t1"},
		"a table of one, and a part": {tree{mokTable[1:]: certs("t1"), list(""): attributes + certs("a1"), list("1"): attributes + certs("b1")}, "t1"},
		"too many parts":             {many, "MokListRT256-" + shimGUID + ": too large"},
		"too many certificates":      {tree{list(""): attributes + certs(full...), list("1"): attributes + certs("b")}, "too large"},
	} {
		got := SecureBootOf(c.tree.root(t)).Enrolled
		said := string(bytes.Join(got.Value, []byte(" ")))
		if !got.Known() {
			said = got.Err.Error()
		}
		if got.Known() && said != c.want || !strings.Contains(said, c.want) {
			t.Errorf("%s: %q, expected %q", name, said, c.want)
		}
	}
}

func TestModuleLoading(t *testing.T) {
	const keys = `2c4c1b5a I------     1 perm 1f0b0000     0     0 keyring   .builtin_trusted_keys: 1
1d7c1b5b I------     1 perm 1f0f0000     0     0 keyring   .machine: 1
0a000001 I------     1 perm 1f030000     0     0 asymmetri Debian Secure Boot CA: 6ccece7e4c6c0d1f6149f3dd27dfcc5cbb419ea1: X509.rsa bb419ea1 []
0a000002 I------     1 perm 1f030000     0     0 asymmetri Owner: of two: colons: 01ab: X509.rsa 01ab []
0a000003 I------     1 perm 1f030000     0     0 asymmetri Of no keyring: 02: X509.rsa 02 []
torn
`
	members := func(keyring int32) ([]int32, error) {
		return map[int32][]int32{0x2c4c1b5a: {0x0a000001}, 0x1d7c1b5b: {0x0a000002, 99}}[keyring], nil
	}
	locked := tree{
		"proc/sys/kernel/modules_disabled": "0\n", "sys/module/module/parameters/sig_enforce": "Y\n", "proc/keys": keys,
		"sys/kernel/security/lockdown": "none [integrity] confidentiality\n", "boot/config-6.1.0": "CONFIG_MODULE_SIG=y\n", "sys/firmware/": "",
	}.root(t)
	m := moduleLoading(locked, kernel(locked, "6.1.0"), members)
	if !m.Enforced.Value || m.Lockdown.Value != LockdownIntegrity || m.Disabled.Value || !m.Disabled.Known() || !m.Signatures.Value {
		t.Errorf("%+v", m)
	}
	want := []KernelKey{{".builtin_trusted_keys", "Debian Secure Boot CA", "6ccece7e4c6c0d1f6149f3dd27dfcc5cbb419ea1"}, {".machine", "Owner: of two: colons", "01ab"}}
	if len(m.Keys.Value) != 2 || m.Keys.Value[0] != want[0] || m.Keys.Value[1] != want[1] {
		t.Errorf("keys %+v, %v", m.Keys.Value, m.Keys.Err)
	}
	refused := errors.New("no")
	if m := moduleLoading(locked, kernel(locked, "6.1.0"), func(int32) ([]int32, error) { return nil, refused }); !errors.Is(m.Keys.Err, refused) {
		t.Errorf("a keyring that may not be read: %+v", m.Keys)
	}
}

func TestNeedsSignature(t *testing.T) {
	for name, c := range map[string]struct {
		tree tree
		want string
	}{
		"neither":                   {tree{enforcedFile: "N\n", lockdownFile: "[none] integrity confidentiality\n"}, "no"},
		"enforced":                  {tree{enforcedFile: "Y\n", lockdownFile: "[none] integrity confidentiality\n"}, "yes"},
		"locked":                    {tree{enforcedFile: "N\n", lockdownFile: "none integrity [confidentiality]\n"}, "yes"},
		"locked, the rest unread":   {tree{lockdownFile: "none integrity [confidentiality]\n"}, "yes"},
		"no signatures, no module":  {tree{"sys/module/": "", securityModules: "capability\n"}, "no"},
		"securityfs is not mounted": {tree{enforcedFile: "N\n", "sys/kernel/security/": ""}, "not mounted"},
		"enforced, the rest unread": {tree{enforcedFile: "Y\n"}, "yes"},
		"an unknown mode":           {tree{enforcedFile: "N\n", lockdownFile: "none [all]\n"}, "expected one of none, integrity and confidentiality"},
		"an unknown value":          {tree{enforcedFile: "maybe\n", lockdownFile: "[none]\n"}, `"maybe"`},
	} {
		planted := tree{}
		for file, content := range c.tree {
			planted[strings.TrimPrefix(file, "/")] = content
		}
		m := moduleLoading(planted.root(t), NotKnown[Kernel]("", ErrNotRunning), nil)
		if got := threeValued(m.NeedsSignature()); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, expected %s", name, got, c.want)
		}
	}
	if m := ModuleLoadingOf(At(t.TempDir()), NotKnown[Kernel]("", ErrNotRunning)); !errors.Is(m.NeedsSignature().Err, ErrNotRunning) {
		t.Errorf("an image: %+v", m)
	}
}

func FuzzSignatureLists(f *testing.F) {
	f.Add([]byte(signatureList(x509List, "cert1", "cert2")))
	f.Add([]byte(signatureList([16]byte{0x26}, strings.Repeat("h", 32)))[:50])
	f.Fuzz(func(t *testing.T, b []byte) {
		certificates, err := ParseSignatureLists("x", b)
		total := 0
		for _, c := range certificates {
			total += len(c)
		}
		if err != nil && certificates != nil || total > len(b) || len(certificates) > maxCertificates {
			t.Errorf("%d certificates with %d bytes out of %d, %v", len(certificates), total, len(b), err)
		}
	})
}

func FuzzKernelKeys(f *testing.F) {
	f.Add([]byte("0a000001 I------     1 perm 1f030000     0     0 asymmetri CA: 6c: X509.rsa bb []\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, l := range parseKeys(b) {
			if key, ok := l.key(".machine"); ok && (l.serial < 0 || strings.Contains(key.ID, ": ")) {
				t.Errorf("%+v of %+v", key, l)
			}
		}
	})
}
