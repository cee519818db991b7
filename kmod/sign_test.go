package kmod

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ampconnector/amp/internal/host"
)

// keyHost is a root with a key pair of ours.
func keyHost(t testing.TB) (host.Root, *SigningKey) {
	t.Helper()
	key, certificate, err := MakeSigningKey("host.example", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	plantFile(t, dir, OwnKeyFile, key)
	plantFile(t, dir, OwnCertificateFile, certificate)
	keys, err := FindSigningKeys(host.At(dir), KeyFiles{})
	if err != nil || len(keys) != 1 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	return host.At(dir), keys[0]
}

func plantFile(t testing.TB, dir, name string, content []byte) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestMadeKeyIsForModulesAlone(t *testing.T) {
	_, key := keyHost(t)
	c := key.Certificate
	if c.IsCA || !c.BasicConstraintsValid || c.KeyUsage != x509.KeyUsageDigitalSignature || c.PublicKey.(*rsa.PublicKey).Size() != keyBits/8 {
		t.Errorf("%+v", c)
	}
	if len(c.ExtKeyUsage) != 1 || c.ExtKeyUsage[0] != x509.ExtKeyUsageCodeSigning || len(c.UnknownExtKeyUsage) != 1 || !c.UnknownExtKeyUsage[0].Equal(oidModulesOnly) {
		t.Errorf("usages %v, %v", c.ExtKeyUsage, c.UnknownExtKeyUsage)
	}
	if c.Subject.CommonName != "amp-connector kernel modules, host.example" || len(key.ID()) != 40 {
		t.Errorf("%s, %s", c.Subject, key.ID())
	}
	if err := c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature); err != nil {
		t.Error(err)
	}
}

func TestSign(t *testing.T) {
	_, key := keyHost(t)
	module := []byte("\x7fELF, or so")
	for hash, kind := range map[string]crypto.Hash{"": crypto.SHA256, "sha256": crypto.SHA256, "sha384": crypto.SHA384, "sha512": crypto.SHA512} {
		signed, err := Sign(module, key, hash)
		if err != nil {
			t.Fatal(err)
		}
		rest, ok := bytes.CutPrefix(signed, module)
		if !ok || !SignedBy(signed, key.Certificate) || SignedBy(module, key.Certificate) {
			t.Fatalf("%s: the module, or who signed it, is another", hash)
		}
		if !bytes.Equal(Bare(signed), module) || !bytes.Equal(Bare(module), module) {
			t.Errorf("%s: bare it is %q", hash, Bare(signed))
		}
		var info contentInfo
		if _, err := asn1.Unmarshal(rest, &info); err != nil {
			t.Fatalf("%s: %v", hash, err)
		}
		digest := kind.New()
		digest.Write(module)
		if err := rsa.VerifyPKCS1v15(&key.private.PublicKey, kind, digest.Sum(nil), info.Content.Signers[0].Value); err != nil {
			t.Errorf("%s: %v", hash, err)
		}
		// signature_info of the kernel: 0 0 2 0 0 0 0 0, length, mark
		tail := signed[len(signed)-len(signatureMark)-signatureInfoSize:]
		if !bytes.HasPrefix(tail, []byte{0, 0, 2, 0, 0, 0, 0, 0}) || int(tail[10])<<8|int(tail[11]) != len(signed)-len(module)-len(tail) {
			t.Errorf("%s: % x", hash, tail)
		}
		if _, err := Sign(signed, key, hash); !errors.Is(err, ErrSigned) {
			t.Errorf("signed twice: %v", err)
		}
	}
	if _, err := Sign(module, key, "sha3-256"); err == nil || !strings.Contains(err.Error(), "sha512 expected") {
		t.Errorf("a hash that is not known: %v", err)
	}
}

func TestFindSigningKeys(t *testing.T) {
	_, own := keyHost(t)
	_, other := keyHost(t)
	pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(own.private)})
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Certificate.Raw})
	for name, c := range map[string]struct {
		key, certificate []byte
		err              string
	}{
		"DKMS, older":     {pkcs1, own.Certificate.Raw, ""},
		"in PEM":          {pkcs1, certificate, ""},
		"of another":      {pkcs1, other.Certificate.Raw, "it is not the certificate of /var/lib/dkms/mok.key"},
		"no certificate":  {pkcs1, nil, "no such file"},
		"behind a phrase": {pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")}), own.Certificate.Raw, "without a passphrase"},
		"no key":          {[]byte("x"), own.Certificate.Raw, "no PEM block"},
		"damaged":         {pkcs1, own.Certificate.Raw[:100], "mok.pub: not a key that can sign modules"},
	} {
		dir := t.TempDir()
		plantFile(t, dir, "/var/lib/dkms/mok.key", c.key)
		if c.certificate != nil {
			plantFile(t, dir, "/var/lib/dkms/mok.pub", c.certificate)
		}
		keys, err := FindSigningKeys(host.At(dir), KeyFiles{})
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) || (len(keys) == 1) != (c.err == "") {
			t.Errorf("%s: %d keys, %v", name, len(keys), err)
		}
	}
	dir := t.TempDir()
	named := KeyFiles{"/etc/keys/a.key", "/etc/keys/a.der"}
	plantFile(t, dir, OwnKeyFile, pkcs1)
	plantFile(t, dir, OwnCertificateFile, own.Certificate.Raw)
	if keys, err := FindSigningKeys(host.At(dir), named); len(keys) != 1 || err == nil || !strings.Contains(err.Error(), "a.key: no such file") {
		t.Errorf("a named key that is not there: %d keys, %v", len(keys), err)
	}
	plantFile(t, dir, named.Key, pkcs1)
	plantFile(t, dir, named.Certificate, own.Certificate.Raw)
	if keys, err := FindSigningKeys(host.At(dir), named); err != nil || len(keys) != 2 || keys[0].Files != named {
		t.Errorf("a named key: %d keys, %v", len(keys), err)
	}
	if keys, err := FindSigningKeys(host.At(t.TempDir()), KeyFiles{}); err != nil || keys != nil {
		t.Errorf("a host without: %v, %v", keys, err)
	}
}

func TestEnrolment(t *testing.T) {
	_, key := keyHost(t)
	_, other := keyHost(t)
	certificates := func(k *SigningKey) host.Reading[[][]byte] { return host.Read([][]byte{k.Certificate.Raw}, "list") }
	trusts := func(k *SigningKey) host.Reading[[]host.KernelKey] {
		return host.Read([]host.KernelKey{{Keyring: ".machine", ID: k.ID()}}, "/proc/keys")
	}
	unread := errors.New("no")
	for name, c := range map[string]struct {
		keys                host.Reading[[]host.KernelKey]
		enrolled, requested host.Reading[[][]byte]
		want                Enrolment
		known               bool
	}{
		"trusted":                      {trusts(key), host.NotKnown[[][]byte]("", unread), host.NotKnown[[][]byte]("", unread), Trusted, true},
		"enrolled, and not taken":      {trusts(other), certificates(key), certificates(key), Enrolled, true},
		"enrolled, keys unread":        {host.NotKnown[[]host.KernelKey]("", unread), certificates(key), certificates(other), "", false},
		"requested":                    {trusts(other), certificates(other), certificates(key), Requested, true},
		"another one is requested":     {trusts(other), certificates(other), certificates(other), NotRequested, true},
		"what is enrolled is not read": {trusts(other), host.NotKnown[[][]byte]("", unread), certificates(key), "", false},
		"requests are not read":        {trusts(other), certificates(other), host.NotKnown[[][]byte]("", unread), "", false},
	} {
		got := EnrolmentOf(key, host.ModuleLoading{Keys: c.keys, SecureBoot: host.SecureBoot{Enrolled: c.enrolled, Requested: c.requested}})
		if got.Value != c.want || got.Known() != c.known {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func FuzzSigner(f *testing.F) {
	_, key := keyHost(f)
	signed, err := Sign([]byte("module"), key, "")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	f.Add([]byte(signatureMark))
	f.Fuzz(func(t *testing.T, b []byte) {
		if issuer, serial, signed, err := Signer(b); err == nil && signed && (issuer == nil || serial == nil) {
			t.Errorf("%x, %v", issuer, serial)
		}
		SignedBy(b, key.Certificate)
	})
}
