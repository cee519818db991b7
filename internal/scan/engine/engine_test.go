package engine

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/scan"
)

// marker is what the tests' signature finds.
const marker = "AMP-TEST-MARKER-2719"

var signature = "Amp.Test.Marker:0:*:" + hex.EncodeToString([]byte(marker)) + "\n"

// library is opened once: a process has one.
var library = sync.OnceValues(Open)

func libclamav(t testing.TB) *Library {
	t.Helper()
	l, err := library()
	if e, ok := errors.AsType[*Error](err); ok && e.Cause == scan.LibraryMissing {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("needs libclamav: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// directory makes one with files.
func directory(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func load(t testing.TB, files map[string]string) (*Engine, error) {
	t.Helper()
	e, err := libclamav(t).Load(Options{Definitions: directory(t, files), Scratch: t.TempDir()})
	if err == nil {
		t.Cleanup(e.Close)
	}
	return e, err
}

func TestLibraryThatIsNotThere(t *testing.T) {
	_, err := open([]string{"libclamav.so.0", "libclamav.so.1"})
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Cause != scan.LibraryMissing || !strings.Contains(e.Error(), "libclamav.so.0, libclamav.so.1") {
		t.Errorf("error %#v, expected the names of the missing libraries", err)
	}
}

func TestLibraryThatCannotBeUsed(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "libclamav.so.12")
	if err := os.WriteFile(broken, []byte("\x7fELF and no more"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ library, want string }{
		"another library": {"libc.so.6", "lacks cl_"},
		"a broken one":    {broken, "libclamav.so.12"},
	} {
		_, err := open([]string{"libclamav.so.0", tt.library})
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Cause != scan.LibraryUnusable || !strings.Contains(e.Error(), tt.want) {
			t.Errorf("%s: error %v, expected an unusable library that %q", name, err, tt.want)
		}
	}
}

func TestVersions(t *testing.T) {
	for version, want := range map[string]bool{
		"1.4.3": true, "1.5.0-rc": true, "0.103.12": true, "0.101.0": true, "0.101": true, "12.0": true,
		"0.100.3": false, "0.99": false, "": false, "devel": false, "clamav-1.2": false, "1": false, "99999.0": false,
	} {
		if got := atLeast(version, oldest); got != want {
			t.Errorf("%q: %t", version, got)
		}
	}
}

func TestSettingsOfAnEngineAreFound(t *testing.T) {
	e, err := load(t, map[string]string{"a.ndb": signature})
	if err != nil {
		t.Fatal(err)
	}
	if !e.timed || e.own.ScanTime != bornScanTime*time.Millisecond {
		t.Errorf("library %s: limit on a scan's time %v, expected 2m", libclamav(t).Version(), e.own.ScanTime)
	}
	if e.own.FileBytes < 1<<20 || e.own.ScanBytes < 1<<20 || e.own.Depth < 5 || e.own.Files < 100 {
		t.Errorf("limits %+v are too low to be the library's own", e.own)
	}
	if e.number(fieldDisableCache+e.moved) != 1 || e.number(fieldByteCode) != byteCodeInterpreter {
		t.Error("the cache is on, or byte code may be compiled")
	}
}

func TestTheBadFileIsNamed(t *testing.T) {
	header := "ClamAV-VDB:07 Nov 2026 10-00 +0000:1:1:90:X:X:builder:1:"
	cvd := header + strings.Repeat(" ", 512-len(header)) + "not a tar archive"
	for name, tt := range map[string]struct {
		files map[string]string
		cause scan.Cause
		file  string
	}{
		"a line that is none": {map[string]string{"a.ndb": signature, "b.ndb": signature + "Bad:0:*:not hexadecimal\n", "c.ndb": signature}, scan.DefinitionsBad, "b.ndb"},
		"a short hash":        {map[string]string{"a.ndb": signature, "z.hdb": "0123:44:Short\n"}, scan.DefinitionsBad, "z.hdb"},
		"a cut database":      {map[string]string{"a.ndb": signature, "main.cvd": cvd}, scan.DefinitionsBad, "main.cvd"},
		"an empty database":   {map[string]string{"a.ndb": signature, "main.cvd": ""}, scan.DefinitionsBad, "main.cvd"},
		"no signatures":       {map[string]string{"a.ndb": "# nothing\n"}, scan.DefinitionsBad, ""},
		"no definitions":      {map[string]string{"README": "x"}, scan.DefinitionsBad, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, tt.files)
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Cause != tt.cause || e.File != tt.file || e.Err.Error() == "" {
				t.Errorf("error %#v, expected cause %v, file %q", err, tt.cause, tt.file)
			} else {
				t.Log(e)
			}
		})
	}
}

func TestDirectoryThatCannotBeRead(t *testing.T) {
	if _, err := definitions("/nonexistent"); !errors.Is(err, os.ErrNotExist) || causeOf(err) != scan.DefinitionsBad {
		t.Errorf("error %v", err)
	}
	err := unreadable(&os.PathError{Op: "open", Path: "x", Err: unix.EACCES}, "x")
	if causeOf(err) != scan.RightsMissing {
		t.Errorf("cause %v, expected missing rights", causeOf(err))
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "a.ndb"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := definitions(dir); causeOf(err) != scan.DefinitionsBad {
		t.Errorf("error %v of a directory with the name of a file", err)
	}
}

func causeOf(err error) scan.Cause {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Cause
	}
	return scan.NoCause
}

func database(version int) string {
	h := fmt.Sprintf("ClamAV-VDB:date:%d:1:90:X:X:b:1", version)
	return h + strings.Repeat(" ", 512-len(h))
}

func TestOrderOfFiles(t *testing.T) {
	dir := directory(t, map[string]string{
		"z.ndb": "", "a.ndb": "", "local.ign2": "", "daily.cld": database(5), "daily.cvd": database(4), "main.cvd": database(1), "main.cld": database(0),
		"daily.cfg": "", "x.crb": "", "notes.txt": "", "freshclam.dat": "", "main.cvd.sign": "", ".hidden": "", "site.IGN2": "", "SITE.NDB": "",
	})
	got, err := definitions(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"local.ign2", "site.IGN2", "daily.cld", "daily.cfg", "x.crb", "SITE.NDB", "a.ndb", "main.cvd", "z.ndb"}
	for i := range got {
		got[i] = filepath.Base(got[i])
	}
	if !slices.Equal(got, want) {
		t.Errorf("order %v, expected %v", got, want)
	}
}

func TestOnlyRegularFilesAreScanned(t *testing.T) {
	e, err := load(t, map[string]string{"a.ndb": signature})
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	defer r.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, []byte(marker), 0o644); err != nil {
		t.Fatal(err)
	}
	writeOnly, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer writeOnly.Close()
	for what, f := range map[string]*os.File{"pipe": r, "device": null, "directory": dir, "file that cannot be read": writeOnly} {
		if a := e.Scan(f, scan.Limits{}); a.Result != scan.Failed || a.Error == "" {
			t.Errorf("%s: %+v, expected a failure", what, a)
		}
	}
}

func TestCodes(t *testing.T) {
	text := func(int32) string { return "text" }
	for _, tt := range []struct {
		code int32
		name string
		want scan.Answer
	}{
		{success, "", scan.Answer{Result: scan.Clean}},
		{found, "Eicar", scan.Answer{Result: scan.Infected, Name: "Eicar"}},
		{found, limitHeuristics + ".MaxFiles", scan.Answer{Result: scan.Limited}},
		{found, "", scan.Answer{Result: scan.Failed, Error: "something was found that has no name"}},
		{timeOut, "", scan.Answer{Result: scan.Limited}},
		{tooDeep, "", scan.Answer{Result: scan.Limited}},
		{tooLarge, "", scan.Answer{Result: scan.Limited}},
		{tooMany, "", scan.Answer{Result: scan.Limited}},
		{noMemory, "", scan.Answer{Result: scan.Failed, Error: "libclamav: text (20)"}},
		{12, "", scan.Answer{Result: scan.Failed, Error: "libclamav: text (12)"}},
		{-1, "", scan.Answer{Result: scan.Failed, Error: "libclamav: text (-1)"}},
	} {
		if got := verdict(tt.code, tt.name, text); got != tt.want {
			t.Errorf("code %d: %+v, expected %+v", tt.code, got, tt.want)
		}
	}
	// The numbers are the library's.
	l := libclamav(t)
	for code, want := range map[int32]string{noAccess: "access", noMap: "map", noMemory: "allocate", timeOut: "time", tooDeep: "recursion", tooLarge: "size", tooMany: "files"} {
		if said := strings.ToLower(l.strerror(code)); !strings.Contains(said, want) {
			t.Errorf("code %d is %q, expected something of %q", code, said, want)
		}
	}
}

// Limits are the engine's; scans with others wait, and none is scanned with those of another.
func TestScansWithDifferentLimitsSideBySide(t *testing.T) {
	e, err := load(t, map[string]string{"a.ndb": signature})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			limits, want := scan.Limits{FileBytes: 1 << 20, ScanBytes: uint64(1+i%2) << 20}, scan.Infected
			f, err := os.Create(filepath.Join(dir, fmt.Sprint(i)))
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			f.WriteString(strings.Repeat(" ", 1000+i) + marker)
			if i >= 4 {
				limits.FileBytes, want = 100, scan.Limited
			}
			for range 50 {
				if a := e.Scan(f, limits); a.Result != want {
					t.Errorf("%+v: %+v, expected %v", limits, a, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestTurns(t *testing.T) {
	var ts turns
	a, b := scan.Limits{Depth: 1}, scan.Limits{Depth: 2}
	var applied []scan.Limits
	apply := func(l scan.Limits) error { applied = append(applied, l); return nil }
	for range 2 {
		if err := ts.enter(a, apply); err != nil {
			t.Fatal(err)
		}
	}
	entered := make(chan error)
	go func() { entered <- ts.enter(b, apply) }()
	ts.leave()
	select {
	case <-entered:
		t.Fatal("other limits came in while a scan was running")
	case <-time.After(50 * time.Millisecond):
	}
	ts.leave()
	if err := <-entered; err != nil {
		t.Fatal(err)
	}
	ts.leave()
	if !slices.Equal(applied, []scan.Limits{a, b}) {
		t.Errorf("applied %+v", applied)
	}
	refused := errors.New("refused")
	if err := ts.enter(a, func(scan.Limits) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("error %v", err)
	}
	// What is in force is not known then, so the next one applies its own, even if they are those that were.
	if err := ts.enter(b, apply); err != nil || len(applied) != 3 {
		t.Errorf("%v, applied %+v", err, applied)
	}
}

func TestMergedLimits(t *testing.T) {
	own := scan.Limits{FileBytes: 1, ScanBytes: 2, Depth: 3, Files: 4, ScanTime: 5 * time.Millisecond}
	if got := merged(scan.Limits{}, own); got != own {
		t.Errorf("%+v", got)
	}
	asked := scan.Limits{FileBytes: 1 << 63, ScanBytes: 1 << 63, Depth: 1 << 31, Files: 9, ScanTime: 7*time.Millisecond + 1}
	want := scan.Limits{FileBytes: maxFile, ScanBytes: 1<<63 - 1, Depth: maxDepth, Files: 9, ScanTime: 7 * time.Millisecond}
	if got := merged(asked, own); got != want {
		t.Errorf("%+v, expected %+v", got, want)
	}
}

func TestPartsThatWereNotRead(t *testing.T) {
	for line, want := range map[string]string{
		"LibClamAV Error: fmap_readpage: pread error: Input/output error":                    "Input/output error",
		"fmap_readpage: pread error: Input/output error":                                     "Input/output error",
		"fmap_readpage: pread fail: asked for 4096 bytes @ offset 8192, got 0":               "asked for 4096 bytes @ offset 8192, got 0",
		"cli_scanscript: short read during normalizing":                                      "",
		"member fmap_readpage: pread error: as an archive's member may be called, or a hoax": "",
	} {
		if got := notRead([]string{"something else", line}); got != want {
			t.Errorf("%s: %q, expected %q", line, got, want)
		}
	}
}
