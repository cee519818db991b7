package kmod

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // SHA-256, as crypto.Hash makes it
	_ "crypto/sha512" // SHA-384 and SHA-512, likewise
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
)

// signatureMark ends a signed module (include/linux/module_signature.h).
const signatureMark = "~Module signature appended~\n"

// signatureInfo stands before the mark; all that is not set has to be 0 for this kind of signature (mod_check_sig).
type signatureInfo struct {
	_      [2]uint8 // algorithm and hash of kinds that are no more
	Kind   uint8
	_      [5]uint8 // lengths of signer and key id likewise, and padding
	Length uint32   // of the signature, in bytes, big-endian
}

const pkcs7Kind = 2

const signatureInfoSize = 12

// Identifiers of RFC 5652 and RFC 8017.
var (
	oidData       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSignedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidRSA        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
)

// signatureHash is a hash that a kernel's configuration names for its modules: a kernel has that one built in, and maybe no other.
type signatureHash struct {
	hash crypto.Hash
	oid  asn1.ObjectIdentifier
}

var signatureHashes = map[string]signatureHash{
	"sha256": {crypto.SHA256, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}},
	"sha384": {crypto.SHA384, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}},
	"sha512": {crypto.SHA512, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}},
}

// What RFC 5652 calls the parts of a signature, as far as the kernel wants them: no certificates, no signed attributes.
type (
	contentInfo struct {
		Type    asn1.ObjectIdentifier
		Content signedData `asn1:"explicit,tag:0"`
	}
	signedData struct {
		Version int
		Digests []algorithm `asn1:"set"`
		Content contentType
		Signers []signerInfo `asn1:"set"`
	}
	contentType struct{ Type asn1.ObjectIdentifier }
	algorithm   struct {
		Algorithm  asn1.ObjectIdentifier
		Parameters asn1.RawValue `asn1:"optional"`
	}
	signerInfo struct {
		Version   int
		Signer    issuerAndSerial
		Digest    algorithm
		Signature algorithm
		Value     []byte
	}
	issuerAndSerial struct {
		Issuer asn1.RawValue
		Serial *big.Int
	}
)

// ErrSigned is the error of a module that has a signature already.
var ErrSigned = errors.New("the module is signed already")

// Sign gives the module with a signature of key appended, as scripts/sign-file of the kernel's sources does it. hash is what the kernel's
// CONFIG_MODULE_SIG_HASH says, "" or "n" where that is not known.
func Sign(module []byte, key *SigningKey, hash string) ([]byte, error) {
	if bytes.HasSuffix(module, []byte(signatureMark)) {
		return nil, ErrSigned
	}
	if hash == "" || hash == "n" {
		hash = "sha256"
	}
	h, ok := signatureHashes[hash]
	if !ok {
		return nil, fmt.Errorf("sign for a kernel with CONFIG_MODULE_SIG_HASH=%q: one of sha256, sha384 and sha512 expected", hash)
	}
	signature, err := h.sign(module, key)
	if err != nil {
		return nil, err
	}
	signed := bytes.NewBuffer(make([]byte, 0, len(module)+len(signature)+signatureInfoSize+len(signatureMark)))
	signed.Write(module)
	signed.Write(signature)
	if err := binary.Write(signed, binary.BigEndian, signatureInfo{Kind: pkcs7Kind, Length: uint32(len(signature))}); err != nil {
		return nil, err
	}
	signed.WriteString(signatureMark)
	return signed.Bytes(), nil
}

// sign makes the signature of content, detached, in DER.
func (h signatureHash) sign(content []byte, key *SigningKey) ([]byte, error) {
	digest := h.hash.New()
	digest.Write(content)
	value, err := rsa.SignPKCS1v15(rand.Reader, key.private, h.hash, digest.Sum(nil))
	if err != nil {
		return nil, fmt.Errorf("sign with %s: %w", key.Files.Key, err)
	}
	return asn1.Marshal(contentInfo{oidSignedData, signedData{
		Version: 1,
		Digests: []algorithm{{Algorithm: h.oid}},
		Content: contentType{oidData},
		Signers: []signerInfo{{
			Version:   1,
			Signer:    issuerAndSerial{asn1.RawValue{FullBytes: key.Certificate.RawIssuer}, key.Certificate.SerialNumber},
			Digest:    algorithm{Algorithm: h.oid},
			Signature: algorithm{oidRSA, asn1.NullRawValue},
			Value:     value,
		}},
	}})
}

// cut takes a module apart: what was signed, and the signature in DER. signed is false for a module without a signature.
func cut(module []byte) (bare, signature []byte, signed bool, err error) {
	rest, signed := bytes.CutSuffix(module, []byte(signatureMark))
	if !signed {
		return module, nil, false, nil
	}
	if len(rest) < signatureInfoSize {
		return nil, nil, true, errBadSignature
	}
	at := uint64(len(rest) - signatureInfoSize)
	length := uint64(binary.BigEndian.Uint32(rest[at+8:]))
	if rest[at+2] != pkcs7Kind || length > at {
		return nil, nil, true, errBadSignature
	}
	return rest[:at-length], rest[at-length : at], true, nil
}

// Bare is the module without its signature; one whose signature cannot be read is as it is.
func Bare(module []byte) []byte {
	if bare, _, _, err := cut(module); err == nil {
		return bare
	}
	return module
}

// Signer names who signed a module: the certificate's issuer and serial number. Signed is false for a module without a signature.
func Signer(module []byte) (issuer []byte, serial *big.Int, signed bool, err error) {
	_, signature, signed, err := cut(module)
	if err != nil || !signed {
		return nil, nil, signed, err
	}
	var info contentInfo
	if _, err := asn1.Unmarshal(signature, &info); err != nil || len(info.Content.Signers) == 0 {
		return nil, nil, true, errors.Join(errBadSignature, err)
	}
	s := info.Content.Signers[0].Signer
	return s.Issuer.FullBytes, s.Serial, true, nil
}

var errBadSignature = errors.New("the module's signature cannot be read")

// SignedBy reports whether the signature names that certificate. It is not verified: the kernel does that.
func SignedBy(module []byte, c *x509.Certificate) bool {
	issuer, serial, signed, err := Signer(module)
	return signed && err == nil && bytes.Equal(issuer, c.RawIssuer) && serial.Cmp(c.SerialNumber) == 0
}
