package host

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// KernelKey is a public key of the kernel's that modules may be signed with.
type KernelKey struct {
	Keyring string // ".builtin_trusted_keys", ".secondary_trusted_keys", ".machine" (from 5.18: MOK), or ".platform"
	Subject string // of its certificate
	ID      string // the certificate's subject key identifier, else its serial number, in hexadecimal
}

const (
	keysFile    = "/proc/keys"
	maxKeysFile = 1 << 20
	maxKeys     = 1024 // of a keyring
)

// moduleKeyrings are those whose keys may be good for modules; that .platform counts is a patch of some distributions (Debian, Fedora).
var moduleKeyrings = []string{".builtin_trusted_keys", ".secondary_trusted_keys", ".machine", ".platform"}

// keyLine is a line of /proc/keys (proc_keys(5)).
type keyLine struct {
	serial      int32
	kind        string
	description string
}

// parseKeys reads /proc/keys; lines of a form that is not known are passed over, as others may add keys of any kind.
func parseKeys(b []byte) (lines []keyLine) {
	for line := range bytes.Lines(b) {
		fields := strings.Fields(string(line))
		if len(fields) < 9 {
			continue
		}
		serial, err := strconv.ParseUint(fields[0], 16, 31)
		if err != nil {
			continue
		}
		lines = append(lines, keyLine{serial: int32(serial), kind: fields[7], description: strings.Join(fields[8:], " ")})
	}
	return lines
}

// asymmetricKind is how /proc/keys cuts "asymmetric" and "keyring" is whole.
const asymmetricKind = "asymmetri"

// key reads the description "SUBJECT: ID: X509.rsa 1234 []". The subject may have colons itself.
func (l keyLine) key(keyring string) (KernelKey, bool) {
	before, _, ok := cutLast(l.description, ": X509.")
	if !ok || l.kind != asymmetricKind {
		return KernelKey{}, false
	}
	subject, id, ok := cutLast(before, ": ")
	return KernelKey{Keyring: keyring, Subject: subject, ID: id}, ok
}

// kernelKeys reads the keys of the keyrings that are good for modules. members lists the serial numbers in a keyring.
func kernelKeys(r Root, members func(keyring int32) ([]int32, error)) Reading[[]KernelKey] {
	b, err := r.ReadFile(keysFile, maxKeysFile)
	if err != nil {
		return NotKnown[[]KernelKey](keysFile, err)
	}
	lines := parseKeys(b)
	bySerial := make(map[int32]keyLine, len(lines))
	for _, l := range lines {
		bySerial[l.serial] = l
	}
	var keys []KernelKey
	var errs []error
	for _, name := range moduleKeyrings {
		for _, l := range lines {
			if l.kind != "keyring" || !strings.HasPrefix(l.description, name+":") {
				continue
			}
			serials, err := members(l.serial)
			if err != nil {
				errs = append(errs, fmt.Errorf("keyring %s: %w", name, err))
			}
			for _, serial := range serials {
				if key, ok := bySerial[serial].key(name); ok {
					keys = append(keys, key)
				}
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return NotKnown[[]KernelKey](keysFile, err)
	}
	return Read(keys, keysFile)
}

// keyringMembers asks the running kernel, keyctl_read(3).
func keyringMembers(keyring int32) ([]int32, error) {
	buf := make([]byte, 4*maxKeys)
	n, err := unix.KeyctlBuffer(unix.KEYCTL_READ, int(keyring), buf, 0)
	if err != nil {
		return nil, err
	}
	if n > len(buf) {
		return nil, fmt.Errorf("%w: more than %d keys", ErrTooLarge, maxKeys)
	}
	serials := make([]int32, 0, n/4)
	for at := 0; at+4 <= n; at += 4 {
		serials = append(serials, int32(binary.NativeEndian.Uint32(buf[at:])))
	}
	return serials, nil
}
