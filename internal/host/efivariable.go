package host

import (
	"encoding/binary"
	"fmt"
)

// EFI variables as efivarfs shows them: four bytes of attributes, then the value (Documentation/filesystems/efivarfs.rst).
const (
	efiVariables = "/sys/firmware/efi/efivars"
	globalGUID   = "8be4df61-93ca-11d2-aa0d-00e098032b8c" // of the UEFI specification's own variables
	shimGUID     = "605dab50-e046-4300-abb6-3dd810dd8b23" // of shim's

	maxEFIVariable = 1 << 20 // bytes; lists of forbidden signatures have tens of KiB
	efiAttributes  = 4
)

func efiVariableFile(name, guid string) string { return efiVariables + "/" + name + "-" + guid }

// efiVariable reads the value of a variable. One that does not exist is the error of a file that does not.
func efiVariable(r Root, name, guid string) ([]byte, error) {
	file := efiVariableFile(name, guid)
	b, err := r.ReadFile(file, maxEFIVariable)
	if err != nil {
		return nil, err
	}
	if len(b) < efiAttributes {
		return nil, fmt.Errorf("%s: %w: %d bytes, expected %d of attributes and a value", file, ErrMalformed, len(b), efiAttributes)
	}
	return b[efiAttributes:], nil
}

// x509List is the type EFI_CERT_X509_GUID, a5c059a1-94e4-4aa7-87b5-ab155c2bf072, as it lies in memory.
var x509List = [16]byte{0xa1, 0x59, 0xc0, 0xa5, 0xe4, 0x94, 0xa7, 0x4a, 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72}

// Bounds of lists of certificates.
const (
	signatureHead   = 28 // of an EFI_SIGNATURE_LIST: type, its size, size of its own head, size of each entry
	signatureOwner  = 16 // before each entry
	maxCertificates = 1024
)

// ParseSignatureLists gives the certificates, in DER, of a chain of EFI_SIGNATURE_LIST (UEFI specification, 32.4.1); hashes in it are passed over.
func ParseSignatureLists(name string, b []byte) ([][]byte, error) {
	var certificates [][]byte
	for at := 0; at < len(b); {
		list := b[at:]
		if len(list) < signatureHead {
			return nil, fmt.Errorf("%s: offset %d: %w: %d bytes, expected %d of a list's head", name, at, ErrMalformed, len(list), signatureHead)
		}
		size, head, entry := uint64(le32(list[16:])), uint64(le32(list[20:])), uint64(le32(list[24:]))
		if size < signatureHead+head || size > uint64(len(list)) || entry <= signatureOwner || (size-signatureHead-head)%entry != 0 {
			return nil, fmt.Errorf("%s: offset %d: %w: a list of %d bytes with a head of %d and entries of %d, %d bytes are left", name, at, ErrMalformed, size, head, entry, len(list))
		}
		if [16]byte(list) == x509List {
			for rest := list[signatureHead+head : size]; len(rest) > 0; rest = rest[entry:] {
				if len(certificates) == maxCertificates {
					return nil, fmt.Errorf("%s: %w: more than %d certificates", name, ErrTooLarge, maxCertificates)
				}
				certificates = append(certificates, rest[signatureOwner:entry])
			}
		}
		at += int(size)
	}
	return certificates, nil
}

func le32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
