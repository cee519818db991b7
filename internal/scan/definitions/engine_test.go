package definitions

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ampconnector/amp/internal/scan"
)

// tool skips a test where a program of ClamAV is not there.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no %s; package clamav has it", name)
		}
		t.Skipf("no %s; package clamav has it", name)
	}
	return path
}

var (
	couldNotLoad = regexp.MustCompile(`error loading database (\S+)`)
	known        = regexp.MustCompile(`Known viruses: (\d+)`)
)

// clamscanProve tries definitions with the real engine, by the program that comes with it.
func clamscanProve(t *testing.T) Prove {
	clamscan := tool(t, "clamscan")
	samples := t.TempDir()
	sample, clean := filepath.Join(samples, "sample"), filepath.Join(samples, "clean")
	os.WriteFile(sample, Sample(), 0o644)
	os.WriteFile(clean, []byte("nothing in it\n"), 0o644)
	return func(ctx context.Context, dir string) (scan.Report, error) {
		cmd := exec.CommandContext(ctx, clamscan, "-d", dir, "--stdout", "--", sample, clean)
		out, err := cmd.Output()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			return scan.Report{}, err
		}
		r := scan.Report{Engine: "clamscan"}
		var stderr []byte
		if exit != nil {
			stderr = exit.Stderr
		}
		if cmd.ProcessState.ExitCode() == 2 {
			r.Stage, r.Cause, r.Error = scan.StageDefinitions, scan.DefinitionsBad, string(append(stderr, out...))
			if m := couldNotLoad.FindSubmatch(append(stderr, out...)); m != nil {
				r.File = filepath.Base(string(m[1]))
			}
			return r, nil
		}
		if !bytes.Contains(out, []byte(sample+": "+SampleName+".UNOFFICIAL FOUND")) || !bytes.Contains(out, []byte(clean+": OK")) {
			r.Stage, r.Cause, r.Error = scan.StageSelfTest, scan.SelfTestFailed, string(out)
			return r, nil
		}
		r.Stage = scan.StageReady
		if m := known.FindSubmatch(out); m != nil {
			n, _ := strconv.Atoi(string(m[1]))
			r.Signatures = uint32(n)
		}
		return r, nil
	}
}

// eicar makes the test file of EICAR, which must not stand in a source.
func eicar() []byte {
	return []byte(`X5O!P%@AP[4\PZX54(P^)7CC)7}$` + "EICAR-" + "STANDARD-ANTIVIRUS-TEST-" + "FILE!$H+H*")
}

func TestTheEngineFindsWithTheBuiltInSet(t *testing.T) {
	clamscan := tool(t, "clamscan")
	config := testConfig(t, t.TempDir())
	dir := t.TempDir()
	for name, b := range map[string][]byte{
		"eicar": eicar(), "eicar-newline": append(eicar(), '\n'), "sample": Sample(),
		"clean": []byte("nothing"), "quoted": append([]byte("> "), eicar()...), "source": append([]byte("// "), Sample()...),
	} {
		os.WriteFile(filepath.Join(dir, name), b, 0o644)
	}
	out, err := exec.CommandContext(t.Context(), clamscan, "-d", config.BuiltIn, "--no-summary", dir).CombinedOutput()
	if err == nil {
		t.Error("nothing was found")
	}
	for name, want := range map[string]string{
		"eicar": "Amp.Test.EICAR.UNOFFICIAL FOUND", "eicar-newline": "Amp.Test.EICAR.UNOFFICIAL FOUND", "sample": SampleName + ".UNOFFICIAL FOUND",
		"clean": "OK", "quoted": "OK", "source": "OK",
	} {
		if line := filepath.Join(dir, name) + ": " + want + "\n"; !strings.Contains(string(out), line) {
			t.Errorf("no %q in\n%s", line, out)
		}
	}
}

// TestTheEngineUnpacks shows with ClamAV's own test files, one program in many archives and packers, that the built-in set tells whether archives are unpacked.
func TestTheEngineUnpacks(t *testing.T) {
	clamscan := tool(t, "clamscan")
	const samples = "/usr/share/clamav-testfiles"
	entries, err := os.ReadDir(samples)
	if err != nil {
		t.Skipf("package clamav-testfiles has them: %v", err)
	}
	config := testConfig(t, t.TempDir())
	out, _ := exec.CommandContext(t.Context(), clamscan, "-d", config.BuiltIn, "--no-summary", "--infected", samples).CombinedOutput()
	for _, e := range entries {
		if line := filepath.Join(samples, e.Name()) + ": Amp.Test.ClamAV.UNOFFICIAL FOUND\n"; !strings.Contains(string(out), line) {
			t.Errorf("not found in %s", e.Name())
		}
	}
}

// build makes a .cud with sigtool(1).
func build(t *testing.T, name string, version int, databases files) []byte {
	t.Helper()
	sigtool := tool(t, "sigtool")
	dir := databases.write(t, t.TempDir())
	files{"COPYING": "none\n"}.write(t, dir)
	cmd := exec.CommandContext(t.Context(), sigtool, "--build="+name, "--unsigned", "--cvd-version="+strconv.Itoa(version), "--flevel=90")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "SIGNDUSER=tester")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRealDefinitionsWithTheRealEngine(t *testing.T) {
	dir := t.TempDir()
	config := testConfig(t, dir)
	config.Prove = clamscanProve(t)
	s := Open(config)
	in := s.IncomingDir()
	one := files{"daily.cud": string(build(t, "daily.cud", 7, files{"daily.ndb": entry})), "local.ldb": "Local.A;Target:0;0;4142434445464748\n"}
	out := mustImport(t, s, one.replace(t, in), Live, one)
	if h := out.Set.Files[2].Header; h == nil || h.Version != 7 || h.Level != 90 || h.Builder != "tester" {
		t.Errorf("%+v", out.Set.Files)
	}
	if out.Set.Signatures < 5 {
		t.Errorf("%d signatures", out.Set.Signatures)
	}
	// A container whose checksum is right and whose content the engine refuses, beside a good new file.
	bad := container(8, "no tar at all")
	files{"daily.cud": string(bad), "more.hsb": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855:7:Local.B\n"}.write(t, in)
	want := files{"daily.cud": one["daily.cud"], "local.ldb": one["local.ldb"], "more.hsb": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855:7:Local.B\n"}
	out = mustImport(t, s, in, Live, want)
	if len(out.SetAside) != 1 || out.SetAside[0].Name != "daily.cud" || out.SetAside[0].Check.Step != StepLoad || !strings.Contains(out.SetAside[0].Log, "daily.cud") {
		t.Errorf("%+v", out.SetAside)
	}
	// An unsigned container that calls itself signed, and lines that only the engine can tell to be wrong.
	before, _ := s.Current()
	files{"daily.cvd": one["daily.cud"], "local.ldb": "Local.A;Target:0;(0&1;4142\n"}.write(t, in)
	os.Remove(filepath.Join(in, "daily.cud"))
	out, err := s.Import(t.Context(), in, false)
	if err != nil || len(out.SetAside) != 2 {
		t.Fatalf("%+v, %v", out, err)
	}
	if f, ok := out.Set.file("local.ldb"); !ok || f.SHA256 != fileOf(before, "local.ldb") || !slices.Contains(out.Earlier, "local.ldb") {
		t.Errorf("local.ldb: %+v of %+v", f, out.Set.Files)
	}
	// What would hide the self-test's sample does not go live.
	before, _ = s.Current()
	files{"hide.ign2": SampleName + "\n"}.write(t, in)
	out, err = s.Import(t.Context(), in, false)
	if err != nil || out.Result != Kept || len(out.SetAside) != 1 || out.SetAside[0].Check.Step != StepSelfTest {
		t.Errorf("%+v, %v", out, err)
	}
	if after, _ := s.Current(); after.ID != before.ID {
		t.Errorf("%s became %s", before.ID, after.ID)
	}
}

func fileOf(set Set, name string) string {
	f, _ := set.file(name)
	return f.SHA256
}

func TestVerify(t *testing.T) {
	dir := t.TempDir()
	config := testConfig(t, dir)
	config.Prove = clamscanProve(t)
	s := Open(config)
	in := files{"good.ndb": entry, "bad.cvd": string(container(1, strings.Repeat("x", 99)))[:530], "worse.ldb": "Local.A;Target:0;(0&1;4142\n"}.write(t, filepath.Join(dir, "in"))
	checks, report, err := s.Verify(t.Context(), in)
	if err != nil || report.Stage != scan.StageReady {
		t.Fatalf("%+v, %v", report, err)
	}
	failed := map[string]Step{}
	for _, c := range checks {
		if c.Verdict == Failed {
			failed[c.File] = c.Step
		}
	}
	if len(failed) != 2 || failed["bad.cvd"] != StepChecksum || failed["worse.ldb"] != StepLoad {
		t.Errorf("%v", failed)
	}
	if _, err := os.Stat(config.Dir); err == nil {
		t.Error("a look has made the store's directory")
	}
	if all, _ := s.Rejected(); len(all) > 0 {
		t.Errorf("set aside by a look: %+v", all)
	}
	if set, err := s.Current(); err != nil || !set.BuiltIn {
		t.Errorf("%+v, %v", set, err)
	}
	for name, path := range map[string]string{"built-in": config.BuiltIn} {
		checks, report, err := s.Verify(t.Context(), path)
		if _, bad := failure(checks); bad || err != nil || report.Stage != scan.StageReady {
			t.Errorf("%s: %+v, %+v, %v", name, checks, report, err)
		}
	}
	one := files{"good.ndb": entry}
	mustImport(t, s, one.replace(t, in), Live, one)
	if checks, report, err := s.Verify(t.Context(), s.path(currentName)); err != nil || report.Stage != scan.StageReady || checks[0].Step != StepWhole {
		t.Errorf("the live set: %+v, %+v, %v", checks, report, err)
	}
	live, _ := s.Current()
	os.Truncate(filepath.Join(live.Dir, "good.ndb"), 3)
	if checks, _, err := s.Verify(t.Context(), live.Dir); err != nil || len(checks) != 1 || checks[0].Step != StepWhole || checks[0].Verdict != Failed {
		t.Errorf("the live set, damaged: %+v, %v", checks, err)
	}
	if _, err := os.Stat(s.path(verifyName)); err == nil {
		t.Error("the copies are left")
	}
}
