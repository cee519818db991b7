package installer

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
)

// evaluating answers ReadStatus with the first status, and Evaluate with the others, one after another.
func evaluating(t *testing.T, root string, answers ...control.Answer) (left func() int) {
	t.Helper()
	l, err := control.Listen(filepath.Join(root, control.Socket))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	now := answers[0]
	answers = answers[1:]
	go func() {
		done <- (&control.Server{Log: slog.New(slog.DiscardHandler), Handle: func(_ context.Context, r control.Request) control.Answer {
			if r.Verb == control.Evaluate && len(answers) > 0 {
				now, answers = answers[0], answers[1:]
			}
			return now
		}}).Serve(ctx, l)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return func() int { return len(answers) }
}

func TestEventSource(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: only root may ask for an evaluation")
	}
	source := func(s control.Source) control.Answer { return control.Answer{Status: &control.Status{Source: s}} }
	degraded := source(control.Source{Name: "degraded", Chosen: "degraded", Reason: "the kernel offers no BTF; no compiler"})
	byHeaders := source(control.Source{Name: "ebpf-headers", Chosen: "ebpf-headers"})
	waiting := source(control.Source{Name: "degraded", Chosen: "ebpf-headers", Layouts: &control.Layouts{Pending: true}})
	failed := source(control.Source{Name: "degraded", Chosen: "ebpf-headers", Error: "layouts from /tree: build-failed"})
	slow := waiting
	slow.Code, slow.Error = control.Incomplete, "not finished yet"
	for _, c := range []struct {
		name    string
		answers []control.Answer
		outcome Outcome
		err     string
	}{
		{"full already", []control.Answer{byHeaders}, Skipped, ""},
		{"changes", []control.Answer{degraded, byHeaders}, Done, ""},
		{"slow", []control.Answer{degraded, slow, slow, waiting, byHeaders}, Done, ""},
		{"stays", []control.Answer{degraded, degraded}, Failed, "source degraded: the kernel offers no BTF; no compiler"},
		{"cannot", []control.Answer{degraded, waiting, failed}, Failed, "layouts from /tree: build-failed"},
		{"nothing monitors", []control.Answer{source(control.Source{Name: "none"}), source(control.Source{Name: "none", Reason: "the switches are off"})}, Failed, "the switches are off"},
		{"refuses", []control.Answer{degraded, {Code: control.BadRequest, Error: "verb"}}, Failed, "verb"},
	} {
		dir := t.TempDir()
		left := evaluating(t, dir, c.answers...)
		h := NewHost(host.At(dir), nil)
		h.Live = true
		r, err := runOne(t, h, &EventSource{}, false)
		if r.Outcome != c.outcome || (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) || left() != 0 {
			t.Errorf("%s: %s, %v, %d answers left; expected %s, %q", c.name, r.Outcome, err, left(), c.outcome, c.err)
		}
	}
	h := NewHost(host.At(t.TempDir()), nil)
	if r, err := runOne(t, h, &EventSource{}, false); r.Outcome != Skipped || err != nil {
		t.Errorf("an image: %+v, %v", r, err)
	}
	h.Live = true
	if _, err := runOne(t, h, &EventSource{}, false); !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("no daemon: %v", err)
	}
}

func TestSourceItems(t *testing.T) {
	running := host.Read(health.Monitoring{}, control.Socket)
	stopped := host.NotKnown[health.Monitoring](control.Socket, control.ErrNotRunning)
	for _, c := range []struct {
		name string
		f    health.Facts
		kind string
	}{
		{"running", health.Facts{Found: true, Connector: host.Connectors[0], Monitoring: running}, "event-source"},
		{"not running", health.Facts{Found: true, Connector: host.Connectors[0], Monitoring: stopped}, "service"},
		{"the vendor's", health.Facts{Found: true, Connector: host.Connectors[1], Monitoring: stopped}, "service"},
		{"none", health.Facts{}, ""},
	} {
		kind := ""
		for _, item := range SourceItems(&c.f) {
			kind += item.Step.Kind()
		}
		if kind != c.kind {
			t.Errorf("%s: %q, expected %q", c.name, kind, c.kind)
		}
	}
}
