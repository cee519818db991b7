package host

import (
	"fmt"
	"strconv"
)

// SecureBoot is what the firmware, and shim behind it, ask of what boots and of its keys.
type SecureBoot struct {
	UEFI       Reading[bool] // the kernel was started by such a firmware
	On         Reading[bool] // the firmware boots only what is signed; no on a machine that has no UEFI
	SetupMode  Reading[bool] // anyone may change the firmware's keys
	Validation Reading[bool] // shim has what it boots validated; no after "mokutil --disable-validation"
	// Enrolled are the certificates, in DER, that the owner of the machine trusts (MOK); Requested are those that wait for the next boot.
	Enrolled  Reading[[][]byte]
	Requested Reading[[][]byte]
}

const efiFolder = "/sys/firmware/efi"

func noSecureBoot(from string, err error) SecureBoot {
	return SecureBoot{
		UEFI: NotKnown[bool](from, err), On: NotKnown[bool](from, err), SetupMode: NotKnown[bool](from, err), Validation: NotKnown[bool](from, err),
		Enrolled: NotKnown[[][]byte](from, err), Requested: NotKnown[[][]byte](from, err),
	}
}

// SecureBootOf reads the variables of the firmware below r, as the kernel shows them.
func SecureBootOf(r Root) SecureBoot {
	if there, err := r.exists("/sys/firmware"); err != nil || !there {
		if err == nil {
			err = fmt.Errorf("/sys/firmware: %w", errNotMounted)
		}
		return noSecureBoot(efiFolder, err)
	}
	efi, err := r.exists(efiFolder)
	if err != nil {
		return noSecureBoot(efiFolder, err)
	}
	if !efi {
		return SecureBoot{
			UEFI: Read(false, efiFolder), On: Read(false, efiFolder), SetupMode: Read(false, efiFolder), Validation: Read(false, efiFolder),
			Enrolled: Read[[][]byte](nil, efiFolder), Requested: Read[[][]byte](nil, efiFolder),
		}
	}
	entries, err := r.ReadDir(efiVariables)
	if err == nil && len(entries) == 0 { // a firmware has some: it is the empty place for them
		err = fmt.Errorf("%s: %w", efiVariables, errNotMounted)
	}
	if err != nil {
		s := noSecureBoot(efiVariables, err)
		s.UEFI = Read(true, efiFolder)
		return s
	}
	s := SecureBoot{UEFI: Read(true, efiFolder), On: efiSwitch(r, "SecureBoot", globalGUID), SetupMode: efiSwitch(r, "SetupMode", globalGUID), Validation: validation(r)}
	s.Enrolled = enrolled(r)
	s.Requested = certificates(r, "MokNew")
	return s
}

// efiSwitch reads a variable of one byte, 0 or 1. A firmware that does not have it does not do it.
func efiSwitch(r Root, name, guid string) Reading[bool] {
	file := efiVariableFile(name, guid)
	b, err := efiVariable(r, name, guid)
	switch {
	case absent(err):
		return Read(false, file)
	case err != nil:
		return NotKnown[bool](file, err)
	case len(b) != 1 || b[0] > 1:
		return NotKnown[bool](file, fmt.Errorf("%s: %w: value % x, expected one byte, 0 or 1", file, ErrMalformed, b[:min(len(b), 8)]))
	}
	return Read(b[0] == 1, file)
}

// validation is off where shim says so: MokSBStateRT is 1 then, and is not there otherwise (MokVars.txt of shim).
func validation(r Root) Reading[bool] {
	off := efiSwitch(r, "MokSBStateRT", shimGUID)
	off.Value = off.Known() && !off.Value
	return off
}

const (
	mokTable    = efiFolder + "/mok-variables/MokListRT" // since Linux 5.11, where shim has a table of them, from 15.3
	mokList     = "MokListRT"
	maxMokParts = 256 // a firmware's variable may be as small as 1 KiB
)

// enrolled reads the certificates that shim trusts: the whole list where shim hands it over in a table, else from the firmware's variables. A list that
// is longer than one of these may be stands in MokListRT, MokListRT1, MokListRT2 and so on, as far as there are any (mirror_mok_db() of shim).
func enrolled(r Root) Reading[[][]byte] {
	if b, err := r.ReadFile(mokTable, maxEFIVariable); err == nil {
		if found, err := ParseSignatureLists(mokTable, b); err == nil {
			return Read(found, mokTable)
		}
	}
	all := certificates(r, mokList)
	for i := 1; all.Known() && all.Value != nil; i++ {
		part := certificates(r, mokList+strconv.Itoa(i))
		switch {
		case !part.Known():
			return part
		case part.Value == nil:
			return all
		case i == maxMokParts || len(all.Value)+len(part.Value) > maxCertificates:
			return NotKnown[[][]byte](part.From, fmt.Errorf("%s: %w: expected at most %d certificates in %d parts", part.From, ErrTooLarge, maxCertificates, maxMokParts))
		}
		all.Value = append(all.Value, part.Value...)
	}
	return all
}

// certificates reads a variable of shim's with certificates. One that is not there is nil; one that has hashes alone is not.
func certificates(r Root, name string) Reading[[][]byte] {
	file := efiVariableFile(name, shimGUID)
	b, err := efiVariable(r, name, shimGUID)
	if absent(err) {
		return Read[[][]byte](nil, file)
	}
	var found [][]byte
	if err == nil {
		found, err = ParseSignatureLists(file, b)
	}
	if err != nil {
		return NotKnown[[][]byte](file, err)
	}
	return Read(append([][]byte{}, found...), file)
}
