package engine

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/scan"
)

// Codes of the library, enum cl_error_t: those that have had the same numbers since 0.97. Later ones have moved, and only their texts are
// used.
const (
	success  = 0
	found    = 1
	noAccess = 16
	noMap    = 19
	noMemory = 20
	timeOut  = 21
	tooDeep  = 23
	tooLarge = 24
	tooMany  = 25
)

// countPrecision is the unit, in bytes, in which the library counts what it scanned.
const countPrecision = 4096

// limitHeuristics begins the names of what is "found" where a limit was reached.
const limitHeuristics = "Heuristics.Limits.Exceeded"

// scanOptions is struct cl_scan_options; bits that a version does not know it ignores.
type scanOptions struct {
	general, parse, heuristic uint32

	_ [2]uint32 // mail, dev
}

const (
	generalHeuristics   = 0x4
	generalUnprivileged = 0x10   // the library may not open the file by a name; what needs one works on a copy in the scratch directory
	parseAll            = 0x1fff // archives and formats of all kinds
	heuristicExceeds    = 0x4    // tell when a limit was reached, by a name of its own: else that looks like clean
)

// Scan looks at a file, from its beginning, wherever its offset is. The answer has no ID yet. What is no regular file is not scanned:
// reading it could take for ever, or have effects.
func (e *Engine) Scan(file *os.File, limits scan.Limits) scan.Answer {
	limits = merged(limits, e.own)
	var stat unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &stat); err != nil {
		return failed(fmt.Errorf("fstat: %w", err))
	}
	switch {
	case stat.Mode&unix.S_IFMT != unix.S_IFREG:
		return failed(fmt.Errorf("file of type %#o, expected a regular file", stat.Mode&unix.S_IFMT))
	case uint64(stat.Size) > limits.FileBytes:
		return scan.Answer{Result: scan.Limited}
	}
	if err := e.turn.enter(limits, e.setLimits); err != nil {
		return failed(err)
	}
	defer e.turn.leave()
	return e.scan(file)
}

func (e *Engine) scan(file *os.File) scan.Answer {
	runtime.LockOSThread() // the library keeps state by thread
	defer runtime.UnlockOSThread()
	options := scanOptions{
		general: generalHeuristics | generalUnprivileged,
		parse:   parseAll, heuristic: heuristicExceeds,
	}
	var (
		name   *byte
		blocks uint64
	)
	e.library.takeMessages() // of whoever used the thread before
	code := e.library.scandesc(int32(file.Fd()), 0, &name, &blocks, e.handle, &options)
	answer := verdict(code, goString(name, scan.MaxName), e.library.strerror)
	if why := notRead(e.library.takeMessages()); why != "" && answer.Result != scan.Infected {
		answer = failed(fmt.Errorf("the file could not be read, or changed: %s", why))
	}
	answer.Scanned = blocks * countPrecision
	runtime.KeepAlive(file)
	return answer
}

// verdict is what a code of the library means, and the name that came with it.
func verdict(code int32, name string, text func(int32) string) scan.Answer {
	switch code {
	case success:
		return scan.Answer{Result: scan.Clean}
	case found:
		switch {
		case strings.HasPrefix(name, limitHeuristics):
			return scan.Answer{Result: scan.Limited}
		case name == "":
			return failed(errors.New("something was found that has no name"))
		}
		return scan.Answer{Result: scan.Infected, Name: name}
	case timeOut, tooDeep, tooLarge, tooMany:
		return scan.Answer{Result: scan.Limited}
	}
	return failed(fmt.Errorf("libclamav: %s (%d)", text(code), code))
}

func failed(err error) scan.Answer { return scan.Answer{Result: scan.Failed, Error: err.Error()} }
