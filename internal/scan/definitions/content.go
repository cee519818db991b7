package definitions

import (
	"crypto/md5" // what the header of a container has
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
)

// judge is what content is judged by.
type judge struct {
	unsigned bool   // files without a signature are allowed
	level    uint32 // functionality level of the engine; 0: not known
	fips     bool   // the host is in FIPS mode, where MD5 is no evidence
}

// checkContent judges the bytes of a file and returns a container's header. The error is for what could not be read.
func (j judge) checkContent(f *os.File, name string) ([]Check, *Header, error) {
	switch k := kinds[extension(name)]; k.form {
	case Container:
		return j.checkContainer(f, name)
	case Lines:
		err := checkLines(io.NewSectionReader(f, 0, MaxFile), k)
		return []Check{verdict(name, StepText, "lines of text", err), j.checkSigned(name)}, nil, nil
	case Signature:
		err := checkSignature(io.NewSectionReader(f, 0, maxSign))
		return []Check{verdict(name, StepText, "lines of text", err)}, nil, nil
	}
	return []Check{j.checkSigned(name)}, nil, nil
}

// verdict makes a check of an error, whose text says what was read.
func verdict(file string, step Step, read string, err error) Check {
	if err != nil {
		return Check{File: file, Step: step, Verdict: Failed, Read: err.Error()}
	}
	return Check{File: file, Step: step, Verdict: Passed, Read: read}
}

func (j judge) checkContainer(f *os.File, name string) ([]Check, *Header, error) {
	b := make([]byte, HeaderSize)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	h, err := ParseHeader(b[:n])
	if err != nil {
		return []Check{verdict(name, StepHeader, "", err)}, nil, nil
	}
	read := fmt.Sprintf("version %d of %s, %d signatures", h.Version, h.Built.Format("2006-01-02 15:04 UTC"), h.Signatures)
	checks := []Check{{File: name, Step: StepHeader, Verdict: Passed, Read: read}, j.checkLevel(name, h)}
	sum, err := j.checkSum(f, name, h)
	if err != nil {
		return nil, nil, err
	}
	return append(checks, sum, j.checkSigned(name)), &h, nil
}

// checkLevel compares levels. The engine loads what is made for a newer one and passes over those signatures that it does not understand, so this fails nothing.
func (j judge) checkLevel(name string, h Header) Check {
	c := Check{File: name, Step: StepLevel, Verdict: Passed, Read: fmt.Sprintf("made for level %d", h.Level)}
	switch {
	case j.level == 0:
		c.Verdict = NotJudged
		c.Read += "; the engine's is not known here"
	case h.Level > j.level:
		c.Verdict = NotJudged
		c.Read += fmt.Sprintf("; the engine has level %d and passes over what is newer", j.level)
	}
	return c
}

// checkSum compares the MD5 of what follows the header with the header's.
func (j judge) checkSum(f *os.File, name string, h Header) (Check, error) {
	c := Check{File: name, Step: StepChecksum, Verdict: NotJudged}
	if extension(name) == ".cld" {
		// freshclam(1) makes it of a .cvd and its patches and leaves the MD5 of the .cvd in the header; the list in the container is signed.
		c.Read = "rebuilt on this host; the engine judges each of its members"
		return c, nil
	}
	if j.fips {
		c.Read = "the host is in FIPS mode, in which MD5 is no evidence; the engine judges the .sign file"
		return c, nil
	}
	sum := md5.New()
	n, err := io.Copy(sum, io.NewSectionReader(f, HeaderSize, MaxFile))
	if err != nil {
		return c, err
	}
	c.Verdict, c.Read = Passed, fmt.Sprintf("MD5 %s of %d bytes", hex.EncodeToString(sum.Sum(nil)), n)
	if got := hex.EncodeToString(sum.Sum(nil)); got != h.MD5 {
		c.Verdict, c.Expected = Failed, "MD5 "+h.MD5+" as the header says"
	}
	return c, nil
}

// checkSigned judges whether there has to be a signature; whether it is right, the engine says when it loads the file.
func (j judge) checkSigned(name string) Check {
	c := Check{File: name, Step: StepSigned, Verdict: NotJudged}
	switch ext := extension(name); {
	case ext == ".cvd", ext == ".cld":
		c.Read = "judged by the engine at the trial load"
	case j.unsigned:
		c.Verdict, c.Read = Passed, "none, which the policy allows"
	default:
		c.Verdict, c.Read, c.Expected = Failed, "none", "a signed .cvd or .cld, or a policy that allows definitions without a signature"
	}
	return c
}
