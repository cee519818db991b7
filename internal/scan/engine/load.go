package engine

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/ampconnector/amp/internal/scan"
)

// Fields of an engine: enum cl_engine_field. From 24 on they moved up by one when the size of the cache came in between (1.1).
const (
	fieldScanBytes    = 0
	fieldFileBytes    = 1
	fieldDepth        = 2
	fieldFiles        = 3
	fieldScratch      = 13
	fieldByteCode     = 17
	fieldDisableCache = 24 // or 25
	fieldScanTime     = 30 // or 31; there is none before 0.101.4
)

// bornScanTime is the limit on a scan's time that an engine is born with, in milliseconds. No field near it is born with the same.
const bornScanTime = 120_000

// byteCodeInterpreter: compiling it at run time needs memory that can be written and executed, which the service may not have.
const byteCodeInterpreter = 2

// standard is CL_DB_STDOPT: signatures for phishing mails, and those in byte code, which is taken from signed databases alone.
const standard = 0x2 | 0x8 | 0x2000

// Options say what an engine is made of.
type Options struct {
	Definitions string      // directory
	Scratch     string      // directory in which archives are unpacked
	Limits      scan.Limits // of requests that bring none
}

// Engine is a set of definitions, ready to scan with, by several goroutines at once.
type Engine struct {
	library    *Library
	handle     uintptr
	signatures uint32
	own        scan.Limits // in force where a request has zeros
	moved      int32       // by how much the fields from fieldDisableCache on are moved
	timed      bool        // the library has a limit on a scan's time
	turn       turns
}

// Load makes an engine. Each file of the definitions is loaded by itself, in the library's own order, so that the one that is bad can be
// named. Signatures of official databases are checked by the library. Errors are of type *Error.
func (l *Library) Load(o Options) (*Engine, error) {
	// Definitions are parsed on the stack of one thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	files, err := definitions(o.Definitions)
	if err != nil {
		return nil, err
	}
	e := &Engine{library: l, handle: l.engineNew()}
	if e.handle == 0 {
		return nil, &Error{Cause: scan.MemoryShort, Err: errors.New("cl_engine_new: no engine")}
	}
	if err := e.prepare(o, files); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

func (e *Engine) prepare(o Options, files []string) error {
	if err := e.set(o); err != nil {
		return err
	}
	for _, file := range files {
		e.library.takeMessages()
		if code := e.library.load(file, e.handle, &e.signatures, standard); code != success {
			return e.library.bad(code, filepath.Base(file))
		}
	}
	if e.signatures == 0 {
		return &Error{Cause: scan.DefinitionsBad, Err: fmt.Errorf("%s: no signature in %d files", o.Definitions, len(files))}
	}
	e.library.takeMessages()
	if code := e.library.engineCompile(e.handle); code != success {
		return e.library.bad(code, "")
	}
	return nil
}

// bad is the error of a load that ended with a code of the library.
func (l *Library) bad(code int32, file string) error {
	said := l.takeMessages()
	e := &Error{Cause: scan.DefinitionsBad, File: file, Err: errors.New(strings.Join(append([]string{l.strerror(code)}, said...), "; "))}
	switch {
	case code == noMemory, code == noMap, slices.ContainsFunc(said, outOfMemory):
		// Memory ended with this file, which is not to blame for that.
		e = &Error{Cause: scan.MemoryShort, Err: errors.New(e.Error())}
	case code == noAccess:
		e.Cause = scan.RightsMissing
	}
	return e
}

// set makes the settings that an engine is born with, which cannot be changed later, and reads those that can.
func (e *Engine) set(o Options) error {
	if o.Scratch != "" {
		if code := e.library.engineSetStr(e.handle, fieldScratch, o.Scratch); code != success {
			return unusable("cl_engine_set_str: %s", e.library.strerror(code))
		}
	}
	for _, by := range []int32{0, 1} {
		if e.number(fieldScanTime+by) == bornScanTime {
			e.moved, e.timed = by, true
		}
	}
	// The library's cache of clean contents does not know with which limits they were scanned: with 1.4, what was cut short under low ones
	// stayed clean under higher ones. The daemon, which knows, remembers verdicts itself.
	numbers := map[int32]int64{fieldByteCode: byteCodeInterpreter, fieldDisableCache + e.moved: 1}
	for field, n := range numbers {
		if code := e.library.engineSetNum(e.handle, field, n); code != success {
			return unusable("cl_engine_set_num %d: %s", field, e.library.strerror(code))
		}
	}
	e.own = merged(o.Limits, e.limits())
	return e.setLimits(e.own)
}

// Signatures is how many were loaded.
func (e *Engine) Signatures() uint32 { return e.signatures }

// Close gives the engine's memory back. No scan may be running.
func (e *Engine) Close() {
	e.library.engineFree(e.handle)
	e.handle = 0
}

// extensions are those of the definition files that the library knows (CLI_DBEXT of libclamav/readdb.h); others it skips too.
var extensions = strings.Fields(`cat cbc cdb cfg cld crb cud cvd db fp ftm gdb hdb hdu hsb hsu idb ign ign2 imp info ioc ldb ldu mdb mdu msb msu
	ndb ndu pdb pwdb rmd sdb sfp wdb yar yara zmd`)

// extension is a file's, in small letters as the library compares it.
func extension(name string) string { return strings.ToLower(filepath.Ext(name)) }

// first are the files that the library wants before the others: what is to be ignored, then what switches parts of the engine, then trusted
// certificates. Others come in alphabetical order.
var first = []string{".ign", ".ign2", "daily.cld", "daily.cvd", "local.gdb", "daily.cfg", ".crb"}

// definitions lists the files of a directory in the order in which they are loaded.
func definitions(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, unreadable(err, "")
	}
	var names []string
	for _, entry := range entries {
		if slices.Contains(extensions, strings.TrimPrefix(extension(entry.Name()), ".")) {
			names = append(names, entry.Name())
		}
	}
	if len(names) == 0 {
		return nil, &Error{Cause: scan.DefinitionsBad, Err: fmt.Errorf("%s: no definition files", dir)}
	}
	if names, err = withoutOlder(dir, names); err != nil {
		return nil, err
	}
	slices.SortStableFunc(names, func(a, b string) int { return rank(a) - rank(b) })
	for i, name := range names {
		if err := readable(filepath.Join(dir, name)); err != nil {
			return nil, unreadable(err, name)
		}
		names[i] = filepath.Join(dir, name)
	}
	return names, nil
}

func rank(name string) int {
	for i, f := range first {
		if name == f || strings.HasPrefix(f, ".") && extension(name) == f {
			return i
		}
	}
	return len(first)
}

// readable tells what the library's own code for a file that could not be opened does not.
func readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: %v, expected a regular file", path, info.Mode().Type())
	}
	return nil
}

func unreadable(err error, file string) error {
	cause := scan.DefinitionsBad
	if errors.Is(err, fs.ErrPermission) {
		cause = scan.RightsMissing
	}
	return &Error{Cause: cause, File: file, Err: err}
}

// withoutOlder leaves out the older one where a database is there twice, as downloaded (.cvd) and as put together of differences (.cld).
func withoutOlder(dir string, names []string) ([]string, error) {
	var drop []string
	for _, name := range names {
		downloaded := strings.TrimSuffix(name, ".cld") + ".cvd"
		if filepath.Ext(name) != ".cld" || !slices.Contains(names, downloaded) {
			continue
		}
		put, err := databaseVersion(filepath.Join(dir, name))
		if err != nil {
			return nil, unreadable(err, name)
		}
		loaded, err := databaseVersion(filepath.Join(dir, downloaded))
		if err != nil {
			return nil, unreadable(err, downloaded)
		}
		if put >= loaded {
			drop = append(drop, downloaded)
		} else {
			drop = append(drop, name)
		}
	}
	return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(drop, name) }), nil
}

// databaseVersion is the third field of the header of a database: "ClamAV-VDB:time:version:…", 512 bytes, colons between.
func databaseVersion(path string) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	header := make([]byte, 512)
	if _, err := io.ReadFull(f, header); err != nil {
		return 0, fmt.Errorf("%s: header of 512 bytes: %w", path, err)
	}
	fields := strings.SplitN(string(header), ":", 4)
	if len(fields) < 4 || fields[0] != "ClamAV-VDB" {
		return 0, fmt.Errorf("%s: header %.20q, expected ClamAV-VDB:time:version:…", path, header)
	}
	n, err := strconv.Atoi(fields[2])
	if err != nil {
		return 0, fmt.Errorf("%s: version in the header: %w", path, err)
	}
	return n, nil
}
