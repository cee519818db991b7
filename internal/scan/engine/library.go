// Package engine scans with libclamav, which it opens at run time: one program serves every distribution, whatever version it has, and a
// host without the library is told so instead of not starting the program. Definitions and descriptors go in, verdicts come out. It is for
// ampscansvc alone: a fault of the library's is the end of the process.
package engine

import (
	"fmt"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"github.com/ebitengine/purego"

	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/scan"
)

// Error is why no engine could be had.
type Error struct {
	Cause scan.Cause
	File  string // the definition file that is to blame, if one is; its base name
	Err   error
}

func (e *Error) Error() string {
	if e.File != "" {
		return e.File + ": " + e.Err.Error()
	}
	return e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Library is libclamav.
type Library struct {
	version string
	scanning

	// What the library said, by the number of the thread, since that thread called takeMessages.
	mu       sync.Mutex
	messages map[int][]string
}

// scanning are the library's functions, clamav.h of 0.101 and later; names are the library's without cl_.
type scanning struct {
	init          func(options uint32) int32
	retver        func() string
	strerror      func(code int32) string
	engineNew     func() uintptr
	engineFree    func(engine uintptr) int32
	engineCompile func(engine uintptr) int32
	engineSetNum  func(engine uintptr, field int32, number int64) int32
	engineGetNum  func(engine uintptr, field int32, code *int32) int64
	engineSetStr  func(engine uintptr, field int32, text string) int32
	load          func(path string, engine uintptr, signatures *uint32, options uint32) int32
	scandesc      func(fd int32, name uintptr, found **byte, scanned *uint64, engine uintptr, options *scanOptions) int32
	setMessages   func(callback uintptr)
}

// functions are all that is looked up, by their names in the library.
func (s *scanning) functions() map[string]any {
	return map[string]any{
		"cl_init": &s.init, "cl_retver": &s.retver, "cl_strerror": &s.strerror,
		"cl_engine_new": &s.engineNew, "cl_engine_free": &s.engineFree, "cl_engine_compile": &s.engineCompile,
		"cl_engine_set_num": &s.engineSetNum, "cl_engine_get_num": &s.engineGetNum, "cl_engine_set_str": &s.engineSetStr,
		"cl_load": &s.load, "cl_scandesc": &s.scandesc, "cl_set_clcb_msg": &s.setMessages,
	}
}

// Open opens the library by the first name that the dynamic loader finds. It may be called once a process, and errors are of type *Error.
func Open() (*Library, error) { return open(host.EngineSonames) }

func open(names []string) (*Library, error) {
	handle, name, err := find(names)
	if err != nil {
		return nil, err
	}
	keepMemory()
	l := new(Library)
	var missing []string
	for symbol, function := range l.functions() {
		address, err := purego.Dlsym(handle, symbol)
		if err != nil {
			missing = append(missing, symbol)
			continue
		}
		purego.RegisterFunc(function, address)
	}
	if len(missing) > 0 {
		return nil, unusable("%s lacks %s", name, strings.Join(missing, ", "))
	}
	l.version = l.retver()
	if !atLeast(l.version, oldest) {
		return nil, unusable("%s is of version %q, expected %d.%d or later", name, l.version, oldest[0], oldest[1])
	}
	if code := l.init(0); code != success {
		return nil, unusable("%s: cl_init: %s", name, l.strerror(code))
	}
	l.setMessages(purego.NewCallback(l.message))
	return l, nil
}

// find opens the first library of these names. One that is there and cannot be opened is not passed over in silence.
func find(names []string) (handle uintptr, name string, err error) {
	runtime.LockOSThread() // dlopen(3) and dlerror(3), which Dlopen calls one after the other: what the latter says belongs to the thread
	defer runtime.UnlockOSThread()
	var broken error
	for _, name := range names {
		handle, err := purego.Dlopen(name, purego.RTLD_NOW|purego.RTLD_LOCAL)
		if err == nil {
			return handle, name, nil
		}
		// dlerror(3) has no codes: a library that is not there is named with this text, by glibc of all versions.
		if said := err.Error(); broken == nil && !strings.HasPrefix(said, name+": cannot open shared object file: No such file") {
			broken = err
		}
	}
	if broken != nil {
		cause := scan.LibraryUnusable
		if outOfMemory(broken.Error()) {
			cause = scan.MemoryShort
		}
		return 0, "", &Error{Cause: cause, Err: broken}
	}
	return 0, "", &Error{Cause: scan.LibraryMissing, Err: fmt.Errorf("none of these libraries was found: %s", strings.Join(names, ", "))}
}

func unusable(format string, values ...any) error {
	return &Error{Cause: scan.LibraryUnusable, Err: fmt.Errorf(format, values...)}
}

// Version is what the library says of itself, such as "1.4.3".
func (l *Library) Version() string { return l.version }

// oldest is the version in which cl_scan_options came, and with it the cl_scandesc of today.
var oldest = [2]int{0, 101}

var majorMinor = regexp.MustCompile(`^(\d{1,4})\.(\d{1,4})(\D|$)`)

// atLeast is whether a version is a given one or later; one that cannot be read is not.
func atLeast(version string, than [2]int) bool {
	m := majorMinor.FindStringSubmatch(version)
	if m == nil {
		return false
	}
	major, _ := strconv.Atoi(m[1]) // digits, and few
	minor, _ := strconv.Atoi(m[2])
	return major > than[0] || major == than[0] && minor >= than[1]
}
