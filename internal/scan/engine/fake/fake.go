//go:build fakeengine

package fake

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/scan"
	"github.com/ampconnector/amp/internal/scan/engine"
	"github.com/ampconnector/amp/internal/scan/service"
)

// Marker begins files that say what is to happen when they are scanned; a word follows:
//
//	crash    the process dies of SIGSEGV         abort  of SIGABRT        killed  of SIGKILL, as for want of memory
//	exit     it ends with status 7               hang   the scan never ends
//	slow D   the scan takes a time such as 50ms  eat    it takes memory until that is refused, and fails
//	rubbish  bytes that are no message are sent to the daemon; the answer follows
//	talk     4 MiB are written to standard error
//	found N  N is found                          limited, failed  are the results
const Marker = "AMP-FAKE "

// Files in the directory of definitions say what is to happen when it is loaded: crash-load.fake, abort-load.fake, hang-load.fake,
// eat-load.fake, and fail-load.fake, which is then to blame.
const onLoad = "-load.fake"

// Library is the stand-in.
type Library struct{}

// Version says what it is.
func (Library) Version() string { return "fake" }

// Load makes an engine of any directory that has files.
func (Library) Load(o engine.Options) (service.Engine, error) {
	entries, err := os.ReadDir(o.Definitions)
	if err != nil {
		return nil, &engine.Error{Cause: scan.RightsMissing, Err: err}
	}
	if len(entries) == 0 {
		return nil, &engine.Error{Cause: scan.DefinitionsBad, Err: fmt.Errorf("%s: no files", o.Definitions)}
	}
	for _, entry := range entries {
		word, ok := strings.CutSuffix(entry.Name(), onLoad)
		if !ok {
			continue
		}
		if word == "fail" {
			return nil, &engine.Error{Cause: scan.DefinitionsBad, File: entry.Name(), Err: errors.New("it is there to fail")}
		}
		if err := act(word, ""); err != nil {
			return nil, &engine.Error{Cause: scan.MemoryShort, Err: err}
		}
	}
	return scanner{signatures: uint32(len(entries))}, nil
}

type scanner struct{ signatures uint32 }

func (s scanner) Signatures() uint32 { return s.signatures }

// Scan does what the file says. Where it says nothing it is clean, unless the EICAR test file begins it.
func (scanner) Scan(file *os.File, _ scan.Limits) scan.Answer {
	start := make([]byte, 256)
	n, _ := file.ReadAt(start, 0) // what cannot be read says nothing
	start = start[:n]
	if bytes.HasPrefix(start, eicar()) {
		return scan.Answer{Result: scan.Infected, Name: "Fake.EICAR"}
	}
	said, ok := bytes.CutPrefix(start, []byte(Marker))
	if !ok {
		return scan.Answer{Result: scan.Clean, Scanned: uint64(n)}
	}
	line, _, _ := strings.Cut(string(said), "\n")
	word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	switch word {
	case "found":
		return scan.Answer{Result: scan.Infected, Name: rest}
	case "limited":
		return scan.Answer{Result: scan.Limited}
	case "failed":
		return scan.Answer{Result: scan.Failed, Error: "it is there to fail"}
	}
	if err := act(word, rest); err != nil {
		return scan.Answer{Result: scan.Failed, Error: err.Error()}
	}
	return scan.Answer{Result: scan.Clean, Scanned: uint64(n)}
}

// act does what harm there is to do; most words do not return.
func act(word, rest string) error {
	switch word {
	case "crash":
		return die(unix.SIGSEGV)
	case "abort":
		return die(unix.SIGABRT)
	case "killed":
		return die(unix.SIGKILL)
	case "exit":
		os.Exit(7) //nolint:revive // that is what it is to do
	case "hang":
		hang()
	case "slow":
		d, err := time.ParseDuration(rest)
		if err != nil {
			return err
		}
		<-time.After(d)
	case "eat":
		return eat()
	case "rubbish":
		_, err := unix.Write(socket, []byte("rubbish"))
		return err
	case "talk":
		_, err := os.Stderr.WriteString(strings.Repeat("talk ", 4<<20/len("talk ")))
		return err
	}
	return nil
}

// socket is the descriptor of the connection to the daemon.
const socket = 3

// die ends the process by a signal, whose action is the default one in the service.
func die(s unix.Signal) error {
	if err := unix.Kill(unix.Getpid(), s); err != nil {
		return err
	}
	hang() // until the signal comes
	return nil
}

// hang never ends; waiting for nothing at all would be noticed by the Go runtime.
func hang() {
	for {
		<-time.After(time.Hour)
	}
}

// most is how much eat takes where nothing refuses it, in bytes, so that a test without a limit does not take the machine down.
const most = 2 << 30

// eat takes memory, and gives it back when there is no more.
func eat() error {
	const piece = 4 << 20
	var taken [][]byte
	defer func() {
		for _, b := range taken {
			_ = unix.Munmap(b)
		}
	}()
	for len(taken) < most/piece {
		b, err := unix.Mmap(-1, 0, piece, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		if err != nil {
			return fmt.Errorf("after %d bytes: %w", len(taken)*piece, err)
		}
		for i := 0; i < piece; i += os.Getpagesize() {
			b[i] = 1
		}
		taken = append(taken, b)
	}
	return fmt.Errorf("%d bytes were taken, and nothing refused them", most)
}

// eicar is the test file of EICAR, put together as the self-test does.
func eicar() []byte {
	b := []byte(`*H+H$!ELIF-TSET-SURIVITNA-` + `DRADNATS-RACIE$}7)CC7)^P(45XZP\4[PA@%P!O5X`)
	slices.Reverse(b)
	return b
}
