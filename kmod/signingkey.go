package kmod

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // RFC 5280, 4.2.1.2: a name for a key, nothing rests on it
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/ampconnector/amp/internal/host"
)

// SigningKey is a key pair for modules: the owner's, which the machine may trust (MOK).
type SigningKey struct {
	Files       KeyFiles
	Certificate *x509.Certificate
	private     *rsa.PrivateKey
}

// KeyFiles are where a key pair is, as seen from inside the root.
type KeyFiles struct {
	Key         string // RSA, in PEM and without a passphrase
	Certificate string // DER, as mokutil(1) takes it
}

// ID is how the kernel names the key in /proc/keys: its identifier in hexadecimal, else its serial number.
func (k *SigningKey) ID() string {
	if id := k.Certificate.SubjectKeyId; len(id) > 0 {
		return hex.EncodeToString(id)
	}
	return hex.EncodeToString(k.Certificate.SerialNumber.Bytes())
}

// keyPlaces are where a host has such keys: ours, that of DKMS, and that of Debian's and Ubuntu's shim-signed.
var keyPlaces = []KeyFiles{
	{OwnKeyFile, OwnCertificateFile},
	{"/var/lib/dkms/mok.key", "/var/lib/dkms/mok.pub"},
	{"/var/lib/shim-signed/mok/MOK.priv", "/var/lib/shim-signed/mok/MOK.der"},
}

// The key that is made where a host has none.
const (
	OwnKeyFolder       = "/var/lib/cisco/amp/mok"
	OwnKeyFile         = OwnKeyFolder + "/MOK.key"
	OwnCertificateFile = OwnKeyFolder + "/MOK.der"
)

const (
	maxKeyFile = 64 << 10
	keyBits    = 2048 // what every firmware's shim takes
	validYears = 30   // the kernel asks no date; a key that is trusted is taken back in the firmware
)

// oidModulesOnly limits a key to modules: shim boots nothing that it signed (shim, "MODSIGN"; mokutil and kernel documentation use it).
var oidModulesOnly = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 2312, 16, 1, 2}

var errKeyFile = errors.New("not a key that can sign modules")

// FindSigningKeys reads the keys that the host has: that which is named, if any, then those in their places. What is there and cannot be used is in the
// error, beside the others, and so is one that is named and not there.
func FindSigningKeys(r host.Root, named KeyFiles) ([]*SigningKey, error) {
	var keys []*SigningKey
	var errs []error
	for _, files := range append([]KeyFiles{named}, keyPlaces...) {
		if _, err := r.Lstat(files.Key); files == (KeyFiles{}) || err != nil && files != named {
			continue // DKMS of other distributions has no certificate beside it, and a certificate alone signs nothing
		}
		key, err := readSigningKey(r, files)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		keys = append(keys, key)
	}
	return keys, errors.Join(errs...)
}

func readSigningKey(r host.Root, files KeyFiles) (*SigningKey, error) {
	text, err := r.ReadFile(files.Key, maxKeyFile)
	if err != nil {
		return nil, err
	}
	der, err := r.ReadFile(files.Certificate, maxKeyFile)
	if err != nil {
		return nil, err
	}
	private, err := parsePrivate(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", files.Key, errKeyFile, err)
	}
	if block, _ := pem.Decode(der); block != nil {
		der = block.Bytes
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", files.Certificate, errKeyFile, err)
	}
	if public, ok := c.PublicKey.(*rsa.PublicKey); !ok || !public.Equal(&private.PublicKey) {
		return nil, fmt.Errorf("%s: %w: it is not the certificate of %s", files.Certificate, errKeyFile, files.Key)
	}
	return &SigningKey{files, c, private}, nil
}

// parsePrivate reads an RSA key in PEM. One behind a passphrase is nothing that a daemon can use.
func parsePrivate(text []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	switch {
	case block == nil:
		return nil, errors.New("no PEM block")
	case block.Type == "RSA PRIVATE KEY" && block.Headers["DEK-Info"] == "":
		return x509.ParsePKCS1PrivateKey(block.Bytes)
	case block.Type != "PRIVATE KEY":
		return nil, fmt.Errorf("PEM block %q, expected PRIVATE KEY without a passphrase", block.Type)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	private, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("a key of type %T, expected RSA", key)
	}
	return private, nil
}

// MakeSigningKey makes the key of a host: key is the file for OwnKeyFile, certificate that for OwnCertificateFile. It is good for modules and for nothing else.
func MakeSigningKey(hostName string, now time.Time) (key, certificate []byte, err error) {
	private, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	id := sha1.Sum(x509.MarshalPKCS1PublicKey(&private.PublicKey)) //nolint:gosec // as above
	template := &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)),
		Subject:      pkix.Name{CommonName: brief("amp-connector kernel modules, " + hostName)},
		NotBefore:    now.Add(-24 * time.Hour), NotAfter: now.AddDate(validYears, 0, 0),
		SignatureAlgorithm:    x509.SHA256WithRSA,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		UnknownExtKeyUsage:    []asn1.ObjectIdentifier{oidModulesOnly},
		SubjectKeyId:          id[:],
	}
	certificate, err = x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), certificate, nil
}

// brief is a common name, which has at most 64 characters (RFC 5280, appendix A.1).
func brief(s string) string { return s[:min(len(s), 64)] }

// Enrolment is what has become of a key.
type Enrolment string

// States of a key.
const (
	Trusted      Enrolment = "trusted"       // the kernel has it in a keyring that counts
	Enrolled     Enrolment = "enrolled"      // the firmware has it, and this kernel does not take it for modules
	Requested    Enrolment = "requested"     // at the next boot the firmware asks for the password
	NotRequested Enrolment = "not-requested" // never, or the request was discarded
)

// PickSigningKey takes of the host's keys the one that is nearest to being trusted, else the first; nil if there is none.
func PickSigningKey(keys []*SigningKey, m host.ModuleLoading) *SigningKey {
	for _, state := range []Enrolment{Trusted, Enrolled, Requested} {
		for _, k := range keys {
			if e := EnrolmentOf(k, m); e.Known() && e.Value == state {
				return k
			}
		}
	}
	if len(keys) == 0 {
		return nil
	}
	return keys[0]
}

// EnrolmentOf says what has become of a key.
func EnrolmentOf(k *SigningKey, m host.ModuleLoading) host.Reading[Enrolment] {
	if m.Keys.Known() {
		for _, one := range m.Keys.Value {
			if one.ID == k.ID() {
				return host.Read(Trusted, m.Keys.From+" ("+one.Keyring+")")
			}
		}
	}
	enrolled, requested := m.SecureBoot.Enrolled, m.SecureBoot.Requested
	switch {
	case !enrolled.Known():
		return host.NotKnown[Enrolment](enrolled.From, enrolled.Err)
	case has(enrolled.Value, k) && !m.Keys.Known():
		return host.NotKnown[Enrolment](m.Keys.From, m.Keys.Err)
	case has(enrolled.Value, k):
		return host.Read(Enrolled, enrolled.From)
	case !requested.Known():
		return host.NotKnown[Enrolment](requested.From, requested.Err)
	case has(requested.Value, k):
		return host.Read(Requested, requested.From)
	}
	return host.Read(NotRequested, requested.From)
}

func has(certificates [][]byte, k *SigningKey) bool {
	for _, c := range certificates {
		if bytes.Equal(c, k.Certificate.Raw) {
			return true
		}
	}
	return false
}
