package installer

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/policy"
)

var (
	srv   = policy.Exclusion{Class: policy.ByPath, Value: "/srv/"}
	gcc   = policy.Exclusion{Class: policy.ByProcess, Value: "/usr/bin/gcc"}
	gccs  = policy.Exclusion{Class: policy.ByProcess, Value: "/usr/bin/gcc", Children: true}
	other = policy.Exclusion{Class: policy.ByUser, Value: "7"}
)

func init() {
	sweepPlans["exclude"] = func(context.Context, *Host) Plan {
		return Plan{Name: "exclude", Items: []Item{{Step: &Exclude{Exclusions: []policy.Exclusion{srv, gccs}}}}}
	}
}

// excluding makes a root with some exclusions.
func excluding(t *testing.T, there ...policy.Exclusion) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, policy.ExclusionPath)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if len(there) > 0 {
		if err := change(NewHost(host.At(dir), nil), nil, there); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func excluded(t *testing.T, dir string) []policy.Exclusion {
	t.Helper()
	x, err := exclusionsOf(NewHost(host.At(dir), nil))
	if err != nil {
		t.Fatal(err)
	}
	return x.All()
}

func TestExclude(t *testing.T) {
	for _, c := range []struct {
		name   string
		before []policy.Exclusion
		step   Exclude
		needed bool
		after  []policy.Exclusion
	}{
		{"first", nil, Exclude{Exclusions: []policy.Exclusion{srv}}, true, []policy.Exclusion{srv}},
		{"beside others", []policy.Exclusion{other}, Exclude{Exclusions: []policy.Exclusion{srv, gcc}}, true, []policy.Exclusion{srv, gcc, other}},
		{"there already", []policy.Exclusion{srv}, Exclude{Exclusions: []policy.Exclusion{srv}}, false, []policy.Exclusion{srv}},
		{"one of two", []policy.Exclusion{srv}, Exclude{Exclusions: []policy.Exclusion{srv, other}}, true, []policy.Exclusion{srv, other}},
		{"with children now", []policy.Exclusion{gcc}, Exclude{Exclusions: []policy.Exclusion{gccs}}, true, []policy.Exclusion{gccs}},
		{"out", []policy.Exclusion{srv, gccs, other}, Exclude{Exclusions: []policy.Exclusion{gcc}, Remove: true}, true, []policy.Exclusion{srv, other}},
		{"out, and not there", []policy.Exclusion{srv}, Exclude{Exclusions: []policy.Exclusion{gcc}, Remove: true}, false, []policy.Exclusion{srv}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, dir := t.Context(), excluding(t, c.before...)
			h := NewHost(host.At(dir), nil)
			if needed, err := c.step.Needed(ctx, h); err != nil || needed != c.needed {
				t.Errorf("needed %v, %v", needed, err)
			}
			if err := c.step.Prepare(ctx, h); err != nil {
				t.Fatal(err)
			}
			if err := c.step.Apply(ctx, h); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.after, excluded(t, dir)); diff != "" {
				t.Error(diff)
			}
			if needed, _ := c.step.Needed(ctx, h); needed {
				t.Error("still needed")
			}
			if err := c.step.Undo(ctx, h); err != nil {
				t.Fatal(err)
			}
			now := excluded(t, dir)
			if len(now) != len(c.before) {
				t.Errorf("undone: %v, expected %v", now, c.before)
			}
			for _, x := range c.before {
				if !contains(now, x) {
					t.Errorf("undone: %v lacks %v", now, x)
				}
			}
		})
	}
}

func contains(all []policy.Exclusion, x policy.Exclusion) bool {
	for _, o := range all {
		if o == x {
			return true
		}
	}
	return false
}

func TestExcludeLeavesADamagedFileAlone(t *testing.T) {
	dir := excluding(t)
	path := filepath.Join(dir, policy.ExclusionPath)
	const text = "<exclusions version=\"1\">\n<path/></exclusions>"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	s := Exclude{Exclusions: []policy.Exclusion{srv}}
	if _, err := s.Needed(t.Context(), NewHost(host.At(dir), nil)); err == nil || !strings.Contains(err.Error(), "exclusions.xml:2: ") {
		t.Errorf("%v; expected the file and the line", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != text {
		t.Errorf("%q, %v", b, err)
	}
}

func TestExcludeCommands(t *testing.T) {
	odd := policy.Exclusion{Class: policy.ByPath, Value: "/srv/it's $HOME/"}
	want := []string{`ampcli exclusions add path '/srv/it'\''s $HOME/'`, "ampcli exclusions add process /usr/bin/gcc --children"}
	if diff := cmp.Diff(want, (&Exclude{Exclusions: []policy.Exclusion{odd, gccs}}).Commands()); diff != "" {
		t.Error(diff)
	}
}

func TestSweepExclude(t *testing.T) {
	sweep{
		plan: "exclude",
		root: func(t *testing.T) string { return excluding(t, gcc, other) },
		recovered: func(root string) error {
			return expectExcluded(root, []policy.Exclusion{gcc, other}, []policy.Exclusion{srv, gccs, other})
		},
		planned: func(root string) error { return expectExcluded(root, []policy.Exclusion{srv, gccs, other}) },
	}.run(t)
}

// expectExcluded wants one of some sets.
func expectExcluded(root string, sets ...[]policy.Exclusion) error {
	x, err := exclusionsOf(NewHost(host.At(root), nil))
	if err != nil {
		return err
	}
	for _, set := range sets {
		if cmp.Equal(set, x.All()) {
			return nil
		}
	}
	return fmt.Errorf("excluded are %v, expected one of %v", x.All(), sets)
}
