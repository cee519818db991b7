package host

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestUnitJournal(t *testing.T) {
	if got := UnitJournal(t.Context(), At(t.TempDir()), "x.service"); !errors.Is(got.Err, ErrNotRunning) {
		t.Errorf("an image: %v", got.Err)
	}
	if _, found := FindTool(At("/"), "journalctl"); !found {
		t.Skip("no journalctl here")
	}
	var asked []string
	answer := func(sizes ...int) questions {
		asked = nil
		return questions{At("/"), func(_ context.Context, _ Root, tool string, args ...string) ([]byte, int, error) {
			asked = append(asked, args[3])
			if !slices.Contains(args, "--unit=x.service") || tool != "journalctl" {
				t.Errorf("%s %v", tool, args)
			}
			return []byte(strings.Repeat("x", sizes[min(len(asked), len(sizes))-1])), 0, nil
		}}
	}
	if got := unitJournal(t.Context(), answer(10), "x.service"); string(got.Value) != "xxxxxxxxxx" || got.From != "journalctl -u x.service" {
		t.Errorf("%v", got)
	}
	// An answer that was cut lacks its end: fewer lines are asked for, down to one.
	if got := unitJournal(t.Context(), answer(maxAnswer, maxAnswer, 5), "x.service"); len(got.Value) != 5 || strings.Join(asked, " ") != "--lines=4096 --lines=2048 --lines=1024" {
		t.Errorf("%d bytes, asked %v", len(got.Value), asked)
	}
	if got := unitJournal(t.Context(), answer(maxAnswer), "x.service"); got.Err != nil || asked[len(asked)-1] != "--lines=1" {
		t.Errorf("%v, asked %v", got.Err, asked)
	}
	failed := questions{At("/"), func(context.Context, Root, string, ...string) ([]byte, int, error) { return nil, 1, nil }}
	if got := unitJournal(t.Context(), failed, "x.service"); got.Err == nil {
		t.Error("an exit status was passed over")
	}
}

func TestPackageVersions(t *testing.T) {
	if got := PackageVersions(t.Context(), At(t.TempDir()), "*"); !errors.Is(got.Err, ErrNotRunning) {
		t.Errorf("an image: %v", got.Err)
	}
	if _, err := os.Stat(filepath.Join("/", packageDatabases[0].marks[0])); err != nil {
		t.Skip("this host has no packages of dpkg")
	}
	got := PackageVersions(t.Context(), At("/"), "dpkg", "no-such-package-*")
	if got.Err != nil || !strings.HasPrefix(string(got.Value), "dpkg ") || !strings.Contains(string(got.Value), "install ok installed\n") {
		t.Errorf("%q, %v", got.Value, got.Err)
	}
	failed := questions{At("/"), func(context.Context, Root, string, ...string) ([]byte, int, error) { return nil, 2, nil }}
	if got := packageVersions(t.Context(), failed, []string{"x"}); got.Err == nil {
		t.Error("an exit status was passed over")
	}
}
