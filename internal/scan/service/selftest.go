package service

import (
	"fmt"
	"os"
	"slices"

	"github.com/ampconnector/amp/internal/scan"
)

// The sample is the test file of EICAR (eicar.org), which every engine finds and which is harmless. It stands here backwards, so that
// scanners do not find it in this source and in the program, as they should not: what is in them is no file that is to be found.
const (
	sampleBackwards = `*H+H$!ELIF-TSET-SURIVITNA-` + `DRADNATS-RACIE$}7)CC7)^P(45XZP\4[PA@%P!O5X`
	harmless        = "This file is scanned to see that nothing is found in what is clean.\n"
)

func sample() []byte {
	b := []byte(sampleBackwards)
	slices.Reverse(b)
	return b
}

// selfTest proves that the definitions are at work, and that they do not call everything infected.
func selfTest(scanner Engine, scratch string) error {
	for _, test := range []struct {
		content []byte
		want    scan.Result
	}{
		{sample(), scan.Infected},
		{[]byte(harmless), scan.Clean},
	} {
		answer, err := scanBytes(scanner, scratch, test.content)
		switch {
		case err != nil:
			return err
		case answer.Result == scan.Failed:
			return fmt.Errorf("self-test: %s", answer.Error)
		case answer.Result != test.want:
			return fmt.Errorf("self-test: %v %s, expected %v", answer.Result, answer.Name, test.want)
		}
	}
	return nil
}

// scanBytes scans a file without a name.
func scanBytes(scanner Engine, scratch string, content []byte) (scan.Answer, error) {
	f, err := os.CreateTemp(scratch, "self-test-")
	if err != nil {
		return scan.Answer{}, err
	}
	defer f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return scan.Answer{}, err
	}
	if _, err := f.Write(content); err != nil {
		return scan.Answer{}, err
	}
	return scanner.Scan(f, scan.Limits{}), nil
}
