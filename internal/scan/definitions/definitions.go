// Package definitions keeps what the scan engine knows: immutable sets of definition files, of which one is live. A set comes in from a
// directory that freshclam(1), cvdupdate or a person fills, is copied, checked, tried in a separate process, and goes live by one rename(2).
// What fails is set aside with the reason. Files of that directory are read and never changed, since they are their updater's.
//
// Below the store's directory:
//
//	current, previous   symbolic links to sets/ID; without current the built-in set is live
//	sets/ID/            the files of a set; ID is made from their names and contents
//	sets/ID.json        where they came from and what the engine said
//	incoming/           for updaters to fill
//	rejected/KEY.json   why a file or a set was set aside; rejected/KEY/ has what it was, while there is room
//	lock                flock(2): one program changes the store at a time
package definitions

import (
	"context"
	"embed"
	"io/fs"

	"github.com/ampconnector/amp/internal/scan"
)

// Where the definitions of a host are.
const (
	Dir        = "/var/lib/cisco/amp/definitions"
	BuiltInDir = "/opt/cisco/amp/share/definitions"
)

// Prove loads the definition files of a directory in a separate process, scans what has to be found and what must not be, and says what came
// of it. The error is for what kept it from trying. A report whose cause is not DefinitionsBad or SelfTestFailed is no word against the
// definitions.
type Prove func(ctx context.Context, dir string) (scan.Report, error)

//go:embed builtin
var builtin embed.FS

// BuiltIn is the built-in set's files, for the package to lay them out at BuiltInDir. They hold EICAR (eicar.org, 2003), the sample of the self-test
// and the sample program of ClamAV's own test files, which shows that archives are unpacked.
func BuiltIn() fs.FS {
	sub, err := fs.Sub(builtin, "builtin")
	if err != nil {
		panic(err) // the name is a constant
	}
	return sub
}

// SampleName is what the engine calls the self-test's sample; it adds ".UNOFFICIAL" to names of definitions without a signature.
const SampleName = "Amp.Test.SelfTest"

// Sample is the self-test's sample: text that is harmless, and that the built-in set finds at the beginning of a file.
func Sample() []byte {
	return []byte("AMP connector self-test sample 7d1f6a02c94e4bb8a3551e60f2c8d937: harmless, made to be found.\n")
}
