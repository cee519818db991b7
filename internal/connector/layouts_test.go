package connector

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ampconnector/amp/bpf"
	"github.com/ampconnector/amp/bpf/layout"
	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/monitor"
)

var errBuild = &layout.Error{Why: layout.BuildFailed, From: "/tree", Detail: "x.c:3: error: unknown type", Log: "/log"}

// layoutsAsked is how often they were read.
func (w *world) layoutsAsked() int { return read(w, func(w *world) int { return w.read }) }

// The degraded source stands in while layouts are derived, and the loop goes on meanwhile.
func TestLayoutsAreReadBesideTheLoop(t *testing.T) {
	w := &world{monitored: true, fallback: true, tree: "whole"}
	inWorld(t, w, func(t *testing.T, c *core) {
		s := c.status()
		if s.Mode != control.Degraded || s.Source.Error != "" || s.Source.Layouts == nil || !s.Source.Layouts.Pending || !strings.Contains(s.Source.Reason, "stands in until then") || !strings.Contains(s.Source.ReasonJA, "完了するまで") {
			t.Errorf("%+v, layouts %+v, mode %s; expected the degraded source until the layouts are there", s.Source, s.Source.Layouts, s.Mode)
		}
		before := w.evaluated()
		c.note("/etc/passwd")
		pass(quiet)
		if w.evaluated() != before+1 || w.layoutsAsked() != 0 {
			t.Errorf("%d evaluations while layouts are derived, %d derived", w.evaluated()-before, w.layoutsAsked())
		}
		pass(derivation)
		s = c.status()
		if s.Mode != control.Normal || s.Source.Name != "ebpf-headers" || s.Source.Layouts.Pending || s.Source.Layouts.Origin != string(layout.Cached) || !w.source(0).isClosed() {
			t.Errorf("%+v, layouts %+v, mode %s; expected the full source in place of the other", s.Source, s.Source.Layouts, s.Mode)
		}
		pass(10 * evaluationPeriod)
		if w.layoutsAsked() != 1 || w.openings() != 2 {
			t.Errorf("derived %d times, %d sources opened; expected one, and two", w.layoutsAsked(), w.openings())
		}
	})
}

// What failed is told, and not tried again until the headers or the compiler change.
func TestLayoutsThatCannotBeReadAreNotTriedEachMinute(t *testing.T) {
	w := &world{monitored: true, fallback: true, tree: "damaged", treeErr: errBuild}
	inWorld(t, w, func(t *testing.T, c *core) {
		pass(derivation)
		s := c.status()
		if l := s.Source.Layouts; s.Mode != control.Degraded || s.Source.Error != errBuild.Error() || l.Cause != "build-failed" || l.Detail != errBuild.Detail || l.Log != "/log" || l.Origin != "none" {
			t.Errorf("%+v, layouts %+v; expected the error in words and in parts", s.Source, s.Source.Layouts)
		}
		pass(time.Hour)
		if w.layoutsAsked() != 1 || w.openings() != 1 {
			t.Errorf("derived %d times, %d sources opened in an hour; expected one and one", w.layoutsAsked(), w.openings())
		}
		w.set(func(w *world) { w.tree, w.treeErr = "whole", nil })
		c.note("/lib/modules")
		pass(quiet)
		pass(derivation)
		if s := c.status(); s.Mode != control.Normal || s.Source.Name != "ebpf-headers" || w.layoutsAsked() != 2 {
			t.Errorf("%+v after the headers changed", s.Source)
		}
	})
}

// A full disk is no matter of headers, and neither is what a person asks for.
func TestLayoutsAreTriedAgain(t *testing.T) {
	w := &world{monitored: true, fallback: true, tree: "whole", treeErr: &layout.Error{Why: layout.DiskFull}}
	inWorld(t, w, func(t *testing.T, c *core) {
		pass(derivation + layoutPause - time.Minute)
		if w.layoutsAsked() != 1 {
			t.Errorf("derived %d times on a full disk in a quarter of an hour", w.layoutsAsked())
		}
		pass(2 * time.Minute)
		if w.layoutsAsked() != 2 {
			t.Errorf("derived %d times on a full disk, expected two", w.layoutsAsked())
		}
		w.set(func(w *world) { w.treeErr = errBuild })
		pass(layoutPause + time.Minute)
		go c.handle(t.Context(), control.Request{Verb: control.Reload})
		pass(derivation)
		if w.layoutsAsked() != 4 {
			t.Errorf("derived %d times, expected once more after a reload", w.layoutsAsked())
		}
	})
}

// Headers that go away while layouts are made, or after, take the source with them; others make it come back.
func TestHeadersComeAndGo(t *testing.T) {
	w := &world{monitored: true, fallback: true, tree: noTree}
	inWorld(t, w, func(t *testing.T, c *core) {
		change := func(tree string) *control.Status {
			w.set(func(w *world) { w.tree = tree })
			c.note("/lib/modules")
			pass(quiet)
			return c.status()
		}
		if s := c.status(); s.Mode != control.Degraded || s.Source.Layouts != nil {
			t.Errorf("without headers %+v", s.Source)
		}
		change("whole")
		pass(derivation / 2)
		if s := change("others"); !s.Source.Layouts.Pending {
			t.Errorf("headers that changed while they were read: %+v", s.Source.Layouts)
		}
		pass(derivation)
		if s := c.status(); !s.Source.Layouts.Pending || w.layoutsAsked() != 1 {
			t.Errorf("layouts of headers that are not there any more were taken: %+v", s.Source)
		}
		pass(derivation)
		if s := c.status(); s.Source.Name != "ebpf-headers" || w.layoutsAsked() != 2 {
			t.Errorf("%+v, read %d times", s.Source, w.layoutsAsked())
		}
		if s := change(noTree); s.Source.Name != "degraded" || s.Source.Layouts != nil {
			t.Errorf("after they were removed %+v", s.Source)
		}
		if s := change("others"); s.Source.Name != "ebpf-headers" || w.layoutsAsked() != 2 {
			t.Errorf("after they came back as they were %+v, read %d times", s.Source, w.layoutsAsked())
		}
	})
}

// Whoever asks for an evaluation hears how it went with the layouts.
func TestAnswerWaitsForLayouts(t *testing.T) {
	w := &world{monitored: true, fallback: true, tree: noTree}
	inWorld(t, w, func(t *testing.T, c *core) {
		w.set(func(w *world) { w.tree = "whole" })
		a := c.handle(t.Context(), control.Request{Verb: control.Evaluate})
		if a.Code != "" || a.Status.Source.Name != "ebpf-headers" || a.Status.Canary == nil || !a.Status.Canary.OK {
			t.Errorf("%+v, %+v", a, a.Status)
		}
	})
}

// A derivation ends with the daemon.
func TestLayoutsEndWithTheDaemon(t *testing.T) {
	w := &world{monitored: true, fallback: true, tree: "whole"}
	inWorld(t, w, func(*testing.T, *core) {})
	if w.layoutsAsked() != 0 {
		t.Error("it went on to its end")
	}
}

// No derivation takes for ever.
func TestLayoutsHaveADeadline(t *testing.T) {
	w := &world{monitored: true, fallback: true, tree: "whole"}
	config := func() Config {
		config := w.config(t)
		config.ReadLayouts = func(ctx context.Context, _ *health.Facts) (bpf.Types, layout.Found, error) {
			<-ctx.Done()
			return bpf.Types{}, layout.Found{}, ctx.Err()
		}
		return config
	}
	inConfig(t, w, config, func(t *testing.T, c *core) {
		pass(layoutPatience)
		if s := c.status(); s.Source.Layouts.Pending || !errors.Is(c.layouts.err, context.DeadlineExceeded) || s.Source.Name != string(monitor.Degraded) {
			t.Errorf("%+v", s.Source)
		}
		synctest.Wait()
	})
}
