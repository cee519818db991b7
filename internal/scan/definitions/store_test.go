package definitions

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ampconnector/amp/internal/scan"
)

// fakeProve takes the place of the engine: it refuses a file with the word REFUSED in it, names none where the word is NAMELESS, and finds its sample only
// where the built-in definitions are.
func fakeProve(_ context.Context, dir string) (scan.Report, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return scan.Report{}, err
	}
	sample := false
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return scan.Report{}, err
		}
		switch {
		case bytes.Contains(b, []byte("REFUSED")):
			return scan.Report{Stage: scan.StageDefinitions, Cause: scan.DefinitionsBad, File: e.Name(), Error: e.Name() + ": Malformed database", Engine: "fake"}, nil
		case bytes.Contains(b, []byte("NAMELESS")):
			return scan.Report{Stage: scan.StageDefinitions, Cause: scan.DefinitionsBad, Error: "Malformed database", Engine: "fake"}, nil
		}
		sample = sample || bytes.Contains(b, []byte(SampleName))
	}
	if !sample {
		return scan.Report{Stage: scan.StageSelfTest, Cause: scan.SelfTestFailed, Error: "sample not found", Engine: "fake"}, nil
	}
	return scan.Report{Stage: scan.StageReady, Engine: "fake", Signatures: uint32(len(entries))}, nil
}

// testConfig is a store below dir, with the package's files.
func testConfig(t testing.TB, dir string) Config {
	t.Helper()
	own := filepath.Join(dir, "share")
	if _, err := os.Stat(own); err != nil {
		if err := os.CopyFS(own, BuiltIn()); err != nil {
			t.Fatal(err)
		}
	}
	return Config{Dir: filepath.Join(dir, "definitions"), BuiltIn: own, Program: "test", Prove: fakeProve, Unsigned: true, Wait: 10 * time.Second}
}

// container makes the bytes of a container whose header is right.
func container(version int, body string) []byte {
	head := fmt.Sprintf("ClamAV-VDB:28 Nov 2026 14-28 +0000:%d:6:90:%x:abcDEF+/09:me:1795876108", version, md5.Sum([]byte(body)))
	return []byte(fmt.Sprintf("%-512s", head) + body)
}

const entry = "x.y:0:0:4142434445\n"

// files is a directory in a test: contents by name.
type files map[string]string

func (f files) write(t testing.TB, dir string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range f {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// replace makes a directory hold these files and no others.
func (f files) replace(t testing.TB, dir string) string {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	return f.write(t, dir)
}

// held is what a set has beside the built-in files.
func held(t testing.TB, set Set) files {
	t.Helper()
	got := files{}
	for _, f := range set.Files {
		if f.BuiltIn {
			continue
		}
		b, err := os.ReadFile(filepath.Join(set.Dir, f.Name))
		if err != nil {
			t.Fatal(err)
		}
		got[f.Name] = string(b)
	}
	return got
}

func (f files) equal(g files) bool {
	if len(f) != len(g) {
		return false
	}
	for name, content := range f {
		if other, ok := g[name]; !ok || other != content {
			return false
		}
	}
	return true
}

// mustImport imports and expects a result and what is live then.
func mustImport(t testing.TB, s *Store, dir string, want Result, live files) Outcome {
	t.Helper()
	out, err := s.Import(t.Context(), dir, false)
	if err != nil || out.Result != want {
		t.Fatalf("import: %v, %q (%s), expected %q", err, out.Result, out.Reason, want)
	}
	expectLive(t, s, live)
	return out
}

func expectLive(t testing.TB, s *Store, live files) {
	t.Helper()
	set, err := s.Current()
	if err != nil {
		t.Fatal(err)
	}
	if got := held(t, set); !got.equal(live) {
		t.Fatalf("live: %q, expected %q", got, live)
	}
	if bad, err := s.whole(set); err != nil || len(bad) > 0 {
		t.Fatalf("the live set is not whole: %v, %v", bad, err)
	}
}

func TestNewHostHasTheBuiltInSet(t *testing.T) {
	s := Open(testConfig(t, t.TempDir()))
	set, err := s.Current()
	if err != nil || !set.BuiltIn || len(set.Files) != 2 {
		t.Fatalf("%+v, %v", set, err)
	}
	started, err := s.Start(t.Context())
	if err != nil || started.Set.ID != set.ID || len(started.Did) > 0 {
		t.Fatalf("%+v, %v", started, err)
	}
	if _, err := s.Rollback(t.Context()); !errors.Is(err, ErrNoPrevious) {
		t.Errorf("rollback: %v, expected ErrNoPrevious", err)
	}
	if _, err := s.Previous(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("previous: %v, expected ErrNotExist", err)
	}
}

func TestImportMakesASetLiveAndKeepsTheOneBefore(t *testing.T) {
	dir := t.TempDir()
	s := Open(testConfig(t, dir))
	one := files{"daily.cvd": string(container(1, "body one")), "local.ndb": entry}
	in := one.write(t, filepath.Join(dir, "in"))
	files{"freshclam.dat": "state", ".hidden.ndb": "not read", "daily.cvd.tmp": "download"}.write(t, in)
	out := mustImport(t, s, in, Live, one)
	if out.Set.Signatures != 4 || out.Set.Engine != "fake" || out.Set.From != in || len(out.SetAside) != 0 || len(out.Other) != 3 {
		t.Errorf("%+v", out)
	}
	if h := out.Set.Files[2].Header; h == nil || h.Version != 1 || h.Builder != "me" || !out.Set.Newest().Equal(h.Built) {
		t.Errorf("header %+v", h)
	}
	mustImport(t, s, in, Unchanged, one)
	two := files{"daily.cvd": string(container(2, "body two"))}
	mustImport(t, s, two.replace(t, in), Live, two)
	previous, err := s.Previous()
	if err != nil || !held(t, previous).equal(one) {
		t.Errorf("previous: %+v, %v", previous, err)
	}
	three := files{"daily.cvd": string(container(3, "body three"))}
	mustImport(t, s, three.replace(t, in), Live, three)
	if entries, _ := os.ReadDir(s.sets()); len(entries) != 4 {
		t.Errorf("%d names in sets/, expected two sets with their manifests: %v", len(entries), entries)
	}
	// The previous set comes in once more: the two change places.
	mustImport(t, s, two.replace(t, in), Live, two)
	if previous, err := s.Previous(); err != nil || !held(t, previous).equal(three) {
		t.Errorf("previous: %+v, %v", previous, err)
	}
}

func TestABadFileIsSetAsideAndItsLastGoodVersionStays(t *testing.T) {
	good := files{"daily.cvd": string(container(1, "one")), "main.cvd": string(container(60, "main")), "local.ndb": entry}
	wrongSum := container(2, "two")
	wrongSum[len(wrongSum)-1] ^= 1
	for _, tt := range []struct {
		name, file, content string
		step                Step
		live                files // nil: good
	}{
		{"truncated header", "daily.cvd", string(container(2, "two")[:400]), StepSize, nil},
		{"header alone", "daily.cvd", string(container(2, "two")[:512]), StepSize, nil},
		{"truncated body", "daily.cvd", string(container(2, "two")[:514]), StepChecksum, nil},
		{"wrong MD5", "daily.cvd", string(wrongSum), StepChecksum, nil},
		{"header lies", "daily.cvd", strings.Replace(string(container(2, "two")), ":6:90:", ":6:-90:", 1), StepHeader, nil},
		{"huge number", "daily.cvd", strings.Replace(string(container(2, "two")), ":2:6:", ":99999999999999999999:6:", 1), StepHeader, nil},
		{"not a container", "daily.cvd", strings.Repeat("<html>", 200), StepHeader, nil},
		{"refused by the engine", "daily.cvd", string(container(2, "REFUSED")), StepLoad, nil},
		{"a .cld in place of the .cvd", "daily.cld", string(container(2, "REFUSED")), StepLoad, nil},
		{"binary", "local.ndb", "x.y:0:0:41\x00\n", StepText, nil},
		{"too few fields", "local.ndb", entry + "nonsense\n", StepText, nil},
		{"endless line", "local.ndb", strings.Repeat("a:b:c:d", maxLine), StepText, nil},
		{"nothing but comments", "local.ndb", "# none\n\n", StepText, nil},
		{"empty", "local.ndb", "", StepSize, nil},
		{"new file", "more.ndb", "REFUSED:0:0:4142434445\n", StepLoad, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			s := Open(testConfig(t, dir))
			in := good.write(t, filepath.Join(dir, "in"))
			mustImport(t, s, in, Live, good)
			before, _ := s.Current()
			if tt.file == "daily.cld" {
				os.Remove(filepath.Join(in, "daily.cvd"))
			}
			files{tt.file: tt.content}.write(t, in)
			out := mustImport(t, s, in, Kept, good)
			c, failed := failure(out.Checks)
			if !failed || c.Step != tt.step || c.File != tt.file || c.Read == "" {
				t.Errorf("%+v, expected %s of %s to fail", out.Checks, tt.step, tt.file)
			}
			if c.ofContent() != (len(out.SetAside) == 1) {
				t.Errorf("set aside: %+v", out.SetAside)
			}
			if after, _ := s.Current(); after.ID != before.ID {
				t.Errorf("set %s became %s", before.ID, after.ID)
			}
			if b, err := os.ReadFile(filepath.Join(in, tt.file)); err != nil || string(b) != tt.content {
				t.Error("the incoming file has been changed")
			}
			// The rest of an update comes in, and the second time the file is known.
			newer := files{"main.cvd": string(container(61, "main"))}
			newer.write(t, in)
			want := files{"daily.cvd": good["daily.cvd"], "local.ndb": entry, "main.cvd": newer["main.cvd"]}
			out = mustImport(t, s, in, Live, want)
			if c2, _ := failure(out.Checks); c.ofContent() && c2.Step != StepRejected {
				t.Errorf("the second time: %+v, expected %s", c2, StepRejected)
			}
			if tt.file != "more.ndb" && len(out.Earlier) != 1 {
				t.Errorf("earlier files: %q", out.Earlier)
			}
		})
	}
}

func TestWhatMayBeRead(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes files of other users")
	}
	for _, tt := range []struct {
		name string
		make func(t *testing.T, in string)
		file string
		step Step
		read string
	}{
		{"symbolic link", func(t *testing.T, in string) { os.Symlink("/etc/passwd", filepath.Join(in, "a.ndb")) }, "a.ndb", StepFile, "symbolic link"},
		{"FIFO", func(t *testing.T, in string) { mkfifo(t, filepath.Join(in, "a.ndb")) }, "a.ndb", StepFile, "FIFO"},
		{"directory", func(t *testing.T, in string) { os.Mkdir(filepath.Join(in, "a.ndb"), 0o755) }, "a.ndb", StepFile, "directory"},
		{"name with a newline", func(t *testing.T, in string) { files{"a\nb.ndb": entry}.write(t, in) }, "a\nb.ndb", StepName, `"a\nb.ndb"`},
		{"name like an option", func(t *testing.T, in string) { files{"-d.ndb": entry}.write(t, in) }, "-d.ndb", StepName, `"-d.ndb"`},
		{"others may write", func(t *testing.T, in string) {
			os.Chmod(filepath.Join(files{"a.ndb": entry}.write(t, in), "a.ndb"), 0o646)
		}, "a.ndb", StepOwner, "uid 0, gid 0, mode 0646"},
		{"another user's", func(t *testing.T, in string) {
			os.Chown(filepath.Join(files{"a.ndb": entry}.write(t, in), "a.ndb"), 12, 0)
		}, "a.ndb", StepOwner, "uid 12"},
		{"a second name of root's file", func(t *testing.T, in string) {
			secret := filepath.Join(files{"secret": entry}.write(t, t.TempDir()), "secret")
			if err := os.Link(secret, filepath.Join(in, "a.ndb")); err != nil {
				t.Fatal(err)
			}
			os.Chown(in, 12, 0)
		}, "a.ndb", StepOwner, "2 names of one file"},
		{"too large", func(t *testing.T, in string) {
			os.Truncate(filepath.Join(files{"a.cvd": ""}.write(t, in), "a.cvd"), MaxFile+1)
		}, "a.cvd", StepSize, "1073741825 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			s := Open(testConfig(t, dir))
			in := files{"good.ndb": entry}.write(t, filepath.Join(dir, "in"))
			tt.make(t, in)
			out, err := s.Import(t.Context(), in, false)
			c, failed := failure(out.Checks)
			if err != nil || !failed || c.File != tt.file || c.Step != tt.step || !strings.Contains(c.Read, tt.read) || c.Expected == "" {
				t.Errorf("%v, %+v, expected %s: %s", err, c, tt.step, tt.read)
			}
			if len(out.SetAside) != 0 {
				t.Errorf("set aside for something that may change: %+v", out.SetAside)
			}
			if out.Result != Live || !held(t, out.Set).equal(files{"good.ndb": entry}) {
				t.Errorf("%s: %+v", out.Result, out.Set)
			}
		})
	}
}

func TestDirectoriesThatCannotBeTakenIn(t *testing.T) {
	dir := t.TempDir()
	s := Open(testConfig(t, dir))
	file := filepath.Join(files{"file": ""}.write(t, dir), "file")
	open := files{"a.ndb": entry}.write(t, filepath.Join(dir, "open"))
	os.Chmod(open, 0o777)
	for path, want := range map[string]string{
		filepath.Join(dir, "none"): "no such file", file: "not a directory", open: "chmod o-w",
		files{"README": ""}.write(t, filepath.Join(dir, "empty")): ErrNothing.Error(),
	} {
		if _, err := s.Import(t.Context(), path, false); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, expected %q", path, err, want)
		}
	}
	many := files{}
	for i := range MaxFiles + 1 {
		many[fmt.Sprint(i, ".ndb")] = entry
	}
	if _, err := s.Import(t.Context(), many.write(t, filepath.Join(dir, "many")), false); err == nil || !strings.Contains(err.Error(), "513 definition files") {
		t.Errorf("%v", err)
	}
}

func TestUnsignedFilesNeedThePolicy(t *testing.T) {
	dir := t.TempDir()
	config := testConfig(t, dir)
	config.Unsigned = false
	s := Open(config)
	in := files{"local.ndb": entry, "own.cud": string(container(1, "x")), "daily.cvd": string(container(1, "y")), "daily-1.cvd.sign": "c2lnbg==\n"}.write(t, filepath.Join(dir, "in"))
	out := mustImport(t, s, in, Live, files{"daily.cvd": string(container(1, "y")), "daily-1.cvd.sign": "c2lnbg==\n"})
	if c, _ := failure(out.Checks); c.Step != StepSigned || len(out.SetAside) > 0 {
		t.Errorf("%+v, %+v", c, out.SetAside)
	}
	config.Unsigned = true
	out, err := Open(config).Import(t.Context(), in, false)
	if err != nil || out.Result != Live || len(held(t, out.Set)) != 4 {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestASignatureTravelsWithItsDatabase(t *testing.T) {
	dir := t.TempDir()
	s := Open(testConfig(t, dir))
	in := filepath.Join(dir, "in")
	one := files{"daily.cvd": string(container(1, "one")), "daily-1.cvd.sign": "b25l\n", "main.cvd": string(container(60, "m"))}
	files{"bytecode-7.cvd.sign": "no database\n"}.write(t, in)
	out := mustImport(t, s, one.write(t, in), Live, one)
	if !slices.Contains(out.Other, "bytecode-7.cvd.sign") {
		t.Errorf("other names: %q", out.Other)
	}
	os.Remove(filepath.Join(in, "daily-1.cvd.sign"))
	files{"daily.cvd": string(container(2, "REFUSED")), "daily-2.cvd.sign": "dHdv\n", "main.cvd": string(container(61, "m"))}.write(t, in)
	// So does what was refused: neither goes live.
	mustImport(t, s, in, Live, files{"daily.cvd": one["daily.cvd"], "daily-1.cvd.sign": "b25l\n", "main.cvd": string(container(61, "m"))})
}

func TestASetThatFailedIsNotTriedAgainUnlessForced(t *testing.T) {
	dir := t.TempDir()
	config := testConfig(t, dir)
	trials := 0
	refuse := true
	config.Prove = func(ctx context.Context, d string) (scan.Report, error) {
		trials++
		if !refuse {
			return scan.Report{Stage: scan.StageReady}, nil
		}
		return fakeProve(ctx, d)
	}
	s := Open(config)
	one := files{"a.ndb": "NAMELESS:0:0:4142434445\n"}
	in := one.write(t, filepath.Join(dir, "in"))
	out := mustImport(t, s, in, Kept, files{})
	if len(out.SetAside) != 1 || out.SetAside[0].Name != "" || out.SetAside[0].Kept == "" {
		t.Errorf("%+v", out.SetAside)
	}
	out = mustImport(t, s, in, Kept, files{})
	if trials != 1 || !strings.Contains(out.Reason, "set aside at") {
		t.Errorf("%d trials, %q", trials, out.Reason)
	}
	refuse = false
	if out, err := s.Import(t.Context(), in, true); err != nil || out.Result != Live || trials != 2 {
		t.Errorf("forced: %+v, %v", out, err)
	}
	if all, _ := s.Rejected(); len(all) != 0 {
		t.Errorf("%+v is still said of a set that is live", all)
	}
}

func TestTheSameContentOfAnotherKindIsAnother(t *testing.T) {
	dir := t.TempDir()
	config := testConfig(t, dir)
	config.Prove = func(ctx context.Context, d string) (scan.Report, error) {
		if _, err := os.Stat(filepath.Join(d, "own.cvd")); err == nil {
			return scan.Report{Stage: scan.StageDefinitions, Cause: scan.DefinitionsBad, File: "own.cvd", Error: "no signature"}, nil
		}
		return fakeProve(ctx, d)
	}
	s := Open(config)
	content := string(container(1, "x"))
	mustImport(t, s, files{"own.cvd": content}.write(t, filepath.Join(dir, "in")), Kept, files{})
	mustImport(t, s, files{"own.cud": content}.write(t, filepath.Join(dir, "in")), Live, files{"own.cud": content})
	mustImport(t, s, files{"other.cvd": content}.replace(t, filepath.Join(dir, "in")), Kept, files{"own.cud": content})
}

func TestOnlyTheEnginesWordCounts(t *testing.T) {
	for name, prove := range map[string]Prove{
		"none": nil,
		"error": func(context.Context, string) (scan.Report, error) {
			return scan.Report{}, errors.New("no such program")
		},
		"library": said(scan.Report{Stage: scan.StageLibrary, Cause: scan.LibraryMissing}),
		"memory":  said(scan.Report{Stage: scan.StageDefinitions, Cause: scan.MemoryShort, File: "a.ndb"}),
		"rights":  said(scan.Report{Stage: scan.StageDefinitions, Cause: scan.RightsMissing}),
	} {
		dir := t.TempDir()
		config := testConfig(t, dir)
		config.Prove = prove
		s := Open(config)
		in := files{"a.ndb": entry}.write(t, s.IncomingDir())
		out, err := s.Import(t.Context(), in, false)
		if !errors.Is(err, ErrNotProven) {
			t.Errorf("%s: %v, expected ErrNotProven", name, err)
		}
		expectLive(t, s, files{})
		if all, _ := s.Rejected(); len(all) > 0 || len(out.SetAside) > 0 {
			t.Errorf("%s: set aside without a word of the engine: %+v", name, all)
		}
		if l, err := s.List(); err != nil || !l.Fresh {
			t.Errorf("%s: taken for seen: %+v, %v", name, l, err)
		}
	}
}

func said(r scan.Report) Prove {
	return func(context.Context, string) (scan.Report, error) { return r, nil }
}

func TestOneFileAfterTheOtherIsBlamed(t *testing.T) {
	dir := t.TempDir()
	s := Open(testConfig(t, dir))
	in := files{"a.ndb": "REFUSED:0:0:4141\n", "b.ndb": "REFUSED:0:0:4242\n", "c.ndb": "REFUSED:0:0:4343\n", "d.ndb": entry}.write(t, filepath.Join(dir, "in"))
	out := mustImport(t, s, in, Live, files{"d.ndb": entry})
	if len(out.SetAside) != 3 {
		t.Errorf("%+v", out.SetAside)
	}
	for i := range 6 {
		files{fmt.Sprintf("e%d.ndb", i): fmt.Sprintf("REFUSED:%d:0:4141\n", i)}.write(t, in)
	}
	if out, err := s.Import(t.Context(), in, false); err != nil || out.Result != Kept || len(out.SetAside) != 4 {
		t.Errorf("six bad ones: %v, %q, %d set aside; expected three files and then the set", err, out.Result, len(out.SetAside))
	}
	expectLive(t, s, files{"d.ndb": entry})
}

func TestRollback(t *testing.T) {
	dir := t.TempDir()
	s := Open(testConfig(t, dir))
	one, two := files{"a.ndb": entry}, files{"a.ndb": entry + entry}
	in := s.IncomingDir()
	mustImport(t, s, one.replace(t, in), Live, one)
	mustImport(t, s, two.replace(t, in), Live, two)
	back := func(live files) {
		t.Helper()
		if out, err := s.Rollback(t.Context()); err != nil || out.Result != Live {
			t.Fatalf("%+v, %v", out, err)
		}
		expectLive(t, s, live)
	}
	back(one)
	if out := mustImport(t, s, in, Kept, one); !strings.Contains(out.Reason, "a rollback left it") {
		t.Errorf("the set that was left comes in again: %q", out.Reason)
	}
	back(two)
	if all, err := s.Rejected(); err != nil || len(all) != 1 || all[0].Check.Step != StepWithdraw {
		t.Errorf("%+v, %v; expected a word about the other set alone", all, err)
	}
	mustImport(t, s, in, Unchanged, two)
	back(one)
	if out, err := s.Import(t.Context(), in, true); err != nil || out.Result != Live {
		t.Errorf("forced: %+v, %v", out, err)
	}
	expectLive(t, s, two)
}

func TestImportOverADamagedSet(t *testing.T) {
	s, _, one, two := twoSets(t)
	live, _ := s.Current()
	os.Truncate(filepath.Join(live.Dir, "daily.cvd"), 600)
	three := files{"daily.cvd": string(container(3, "three")), "main.cvd": strings.Repeat("no container", 99)}
	// What is damaged becomes no previous set, but what is whole in it still stands in for a bad file.
	out := mustImport(t, s, three.replace(t, s.IncomingDir()), Live, files{"daily.cvd": three["daily.cvd"], "main.cvd": two["main.cvd"]})
	if previous, err := s.Previous(); err != nil || !held(t, previous).equal(one) {
		t.Errorf("previous: %+v, %v; live %s", previous, err, out.Set.ID)
	}
	// The same once more, over a damaged copy of itself.
	os.Truncate(filepath.Join(out.Set.Dir, "daily.cvd"), 600)
	mustImport(t, s, s.IncomingDir(), Live, files{"daily.cvd": three["daily.cvd"], "main.cvd": two["main.cvd"]})
}

func TestRollbackToTheBuiltInSet(t *testing.T) {
	dir := t.TempDir()
	s := Open(testConfig(t, dir))
	one := files{"a.ndb": entry}
	mustImport(t, s, one.write(t, s.IncomingDir()), Live, one)
	for _, want := range []files{{}, one, {}} {
		if out, err := s.Rollback(t.Context()); err != nil || out.Result != Live {
			t.Fatalf("%+v, %v", out, err)
		}
		expectLive(t, s, want)
	}
}

func TestRollbackTriesTheSetFirst(t *testing.T) {
	dir := t.TempDir()
	config := testConfig(t, dir)
	s := Open(config)
	one, two := files{"a.ndb": entry}, files{"a.ndb": entry + entry}
	in := filepath.Join(dir, "in")
	mustImport(t, s, one.replace(t, in), Live, one)
	mustImport(t, s, two.replace(t, in), Live, two)
	config.Prove = said(scan.Report{Stage: scan.StageDefinitions, Cause: scan.DefinitionsBad, Error: "not with this engine"})
	if out, err := Open(config).Rollback(t.Context()); err != nil || out.Result != Kept || !strings.Contains(out.Reason, "not with this engine") {
		t.Errorf("%+v, %v", out, err)
	}
	expectLive(t, s, two)
	previous, _ := s.Previous()
	os.Truncate(filepath.Join(previous.Dir, "a.ndb"), 1)
	if out, err := s.Rollback(t.Context()); err != nil || out.Result != Kept || !strings.Contains(out.Reason, "whole") {
		t.Errorf("damaged: %+v, %v", out, err)
	}
	expectLive(t, s, two)
}
