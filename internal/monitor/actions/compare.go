package actions

import (
	"fmt"
	"go/token"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ampconnector/amp/internal/monitor"
)

// fields is a monitor.Process without its own idea of equality.
type fields monitor.Process

// SameEvents lets cmp compare events field by field.
var SameEvents = cmp.Options{
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
	cmp.FilterPath(func(p cmp.Path) bool {
		field, ok := p.Last().(cmp.StructField)
		return ok && !token.IsExported(field.Name())
	}, cmp.Ignore()),
	cmp.Transformer("fields", func(p monitor.Process) fields { return fields(p) }),
}

// Check compares what was seen with what the child says.
func Check(t *testing.T, got, want []monitor.Event) {
	t.Helper()
	for i := range got {
		e := &got[i]
		if e.Kind == monitor.FlowClose && (e.Flow.Duration <= 0 || e.Flow.Duration > Patience) {
			t.Errorf("a flow lasted %v", e.Flow.Duration)
		}
		e.Process, e.Time, e.Flow.Duration = nil, time.Time{}, 0
	}
	key := func(e monitor.Event) string { return fmt.Sprint(e.Kind, e.Flow) }
	byKey := func(a, b monitor.Event) int { return strings.Compare(key(a), key(b)) }
	slices.SortStableFunc(got, byKey)
	slices.SortStableFunc(want, byKey)
	if diff := cmp.Diff(want, got, SameEvents, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("events (- as expected, + as seen):\n%s", diff)
	}
}

// CheckFiles compares what was seen of an action on files with what it says. The arguments are those of Do.
func (w *Watch) CheckFiles(t *testing.T, program, action string, set ...func(*exec.Cmd)) {
	t.Helper()
	var got []monitor.Event
	var r Report
	w.Unshed(t, func() {
		var pid int
		pid, r = Do(t, program, action, set...)
		if err := r.removed(); err != nil {
			t.Error(err)
		}
		w.ended(pid, func() bool { return len(w.FileEvents(pid, r)) >= len(r.Events) }) // what the end of a process closes comes after its exit
		got = w.FileEvents(pid, r)
	})
	for i := range r.Events {
		r.Events[i] = w.asSeen(r.Events[i], got, i)
	}
	if diff := cmp.Diff(r.Events, got, SameEvents); diff != "" {
		t.Errorf("events (- as expected, + as seen):\n%s", diff)
	}
}

// CheckNetwork compares what was seen of an action on sockets with what it says. The arguments are those of Do.
func (w *Watch) CheckNetwork(t *testing.T, program, action string, set ...func(*exec.Cmd)) {
	t.Helper()
	var got, want []monitor.Event
	w.Unshed(t, func() {
		pid, r := Do(t, program, action, set...)
		want = slices.DeleteFunc(r.Events, func(e monitor.Event) bool { return w.Blind != nil && w.Blind(action, e) })
		got = w.Finished(t, pid, len(want), monitor.NetworkKinds)
	})
	Check(t, got, want)
}

// FileEvents are the events of a process below its directory, as far as they do not belong to its removal at the end. What kernels
// and file systems differ in is left out.
func (w *Watch) FileEvents(pid int, r Report) []monitor.Event {
	var got []monitor.Event
	dir := ""
	for _, e := range w.Of(pid) {
		if !monitor.FileKinds.Has(e.Kind) || !strings.Contains(e.File.Path, "/"+filesPrefix) && e.File.Path != "/" {
			continue
		}
		if dir == "" {
			dir = e.File.Path
		}
		if e.Kind == monitor.FileDelete && e.File.Path == dir {
			continue
		}
		e.Process, e.Time = nil, time.Time{}
		// Threads that end at once on two processors both tell what they close, amp_exit_closes() of bpf/programs.
		if n := len(got); n > 0 && w.ByCalls && e.Kind == monitor.FileWrite && got[n-1].Kind == e.Kind && got[n-1].File == e.File {
			continue
		}
		got = append(got, e)
	}
	if n := len(r.Events); len(got) > n {
		extra := got[n:]
		if !slices.ContainsFunc(extra, func(e monitor.Event) bool { return e.Kind != monitor.FileDelete }) {
			got = got[:n]
		}
	}
	return got
}

// asSeen takes over into want what an event says beside it, once that was looked at.
func (w *Watch) asSeen(want monitor.Event, got []monitor.Event, i int) monitor.Event {
	if i >= len(got) || got[i].Kind != want.Kind {
		return want
	}
	e := got[i]
	byName := w.ByCalls && (e.Kind == monitor.FileCreate && e.File.Joined || e.Kind == monitor.FileAttributes && e.File.Joined ||
		monitor.KindsOf(monitor.FileRename, monitor.FileLink, monitor.FileDelete).Has(e.Kind))
	if byName {
		want.File.Joined, want.Target.Joined = true, e.Target.Path != ""
		want.Mode, want.Owner, want.Group = e.Mode, e.Owner, e.Group
		return want
	}
	if e.File.Inode != 0 {
		want.File.Inode = e.File.Inode
	}
	if e.File.Device != 0 {
		want.File.Device = e.File.Device
	}
	want.Target.Inode, want.Target.Device = e.Target.Inode, e.Target.Device
	if e.Kind == monitor.FileMap {
		want.Merged = e.Merged // whoever made them, and of a file before that had the inode number
	}
	if e.Kind == monitor.FileWrite && time.Since(time.Unix(0, e.File.Changed)).Abs() < time.Hour {
		want.File.Changed = e.File.Changed
	}
	return want
}
