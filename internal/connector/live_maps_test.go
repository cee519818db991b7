package connector

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/policy"
)

// ownMap finds the newest map of this process by name, as whoever has the right to may: by its id. Other daemons may run beside.
func ownMap(t testing.TB, name string) *ebpf.Map {
	t.Helper()
	ours := numbersOf(os.Getpid(), "map_id")
	var found *ebpf.Map
	for id := ebpf.MapID(0); ; {
		next, err := ebpf.MapGetNextID(id)
		if errors.Is(err, os.ErrNotExist) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		id = next
		if !ours[uint32(id)] {
			continue
		}
		m, err := ebpf.NewMapFromID(id)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if info, err := m.Info(); err != nil || info.Name != name {
			m.Close()
			continue
		}
		if found != nil {
			found.Close()
		}
		found = m
	}
	if found == nil {
		t.Fatalf("this process has no eBPF map %q", name)
	}
	return found
}

// A map that somebody froze takes no more changes, for ever. The status says so as long as the source does not do what is wanted, the
// source goes on as before, and one that is opened anew works.
func TestFrozenSettingsAreTold(t *testing.T) {
	l := startLive(t)
	m := ownMap(t, "settings")
	if err := m.Freeze(); err != nil {
		t.Fatal(err)
	}
	m.Close()
	places := ownMap(t, "places")
	defer places.Close()
	before := entries(t, places)

	l.set(func(l *live) { l.exclusions.Paths = []string{"/srv/"} })
	asked := time.Now()
	s := l.ask(control.Reload)
	if !strings.Contains(s.Source.Error, "write settings") || s.Mode != control.Normal || s.Source.Name != "ebpf" {
		t.Errorf("mode %s, source %+v; expected the refusal of the settings in its error", s.Mode, s.Source)
	}
	t.Logf("told after %v: %q", time.Since(asked), s.Source.Error)
	if after := entries(t, places); after != before {
		t.Errorf("%d places, %d before: half of the refused settings is in force", after, before)
	}
	l.mark()
	l.sendCanary()
	l.until("a canary after the refusal", func(s *control.Status) bool { return s.Canary.Time.After(asked) && s.Canary.OK })

	l.set(func(l *live) { l.policy.MonitorFiles, l.policy.MonitorNetwork = false, false })
	l.ask(control.Reload)
	l.set(func(l *live) { l.policy = policy.Default(); l.exclusions.Paths = []string{"/srv/"} })
	if s := l.ask(control.Reload); s.Source.Error != "" || s.Canary == nil || !s.Canary.OK {
		t.Errorf("opened anew: source %+v, canary %+v", s.Source, s.Canary)
	}
}

// What was refused is told no longer than it is wanted.
func TestRefusedSettingsAreForgottenWithTheWish(t *testing.T) {
	l := startLive(t)
	l.set(func(l *live) { l.exclusions.Kinds = []string{"nonsense"} })
	if s := l.ask(control.Reload); !strings.Contains(s.Source.Error, "nonsense") || s.Mode != control.Normal {
		t.Fatalf("mode %s, source %+v; expected that the exclusion is refused", s.Mode, s.Source)
	}
	l.mark()
	l.set(func(l *live) { l.exclusions.Kinds = nil })
	if s := l.ask(control.Reload); s.Source.Error != "" {
		t.Errorf("the settings of before are wanted and in force, and the error is still told: %q", s.Source.Error)
	}
}

// One exclusion that leads nowhere, in whatever way, does not keep the others from coming into force, nor the source from opening.
func TestExcludedProgramsThatCannotBeThere(t *testing.T) {
	l := newLive(t, t.TempDir())
	loop := filepath.Join(l.dir, "loop")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	l.exclusions.Processes = []policy.ProcessExclusion{{Path: loop}, {Path: l.config.Executable + "/below"}, {Path: "/" + strings.Repeat("n", policy.MaxPathBytes-1)}}
	l.start()
	s := l.ask(control.Evaluate)
	if s.Mode != control.Normal || s.Source.Error != "" || !s.Canary.OK {
		t.Errorf("mode %s, source %+v, canary %+v", s.Mode, s.Source, s.Canary)
	}
}

func entries(t testing.TB, m *ebpf.Map) (n int) {
	t.Helper()
	key, value := make([]byte, m.KeySize()), make([]byte, m.ValueSize())
	it := m.Iterate()
	for it.Next(&key, &value) {
		n++
	}
	if err := it.Err(); err != nil {
		t.Fatal(err)
	}
	return n
}

// everywhere is the key of places for all paths, struct amp_prefix: the bits, and a path.
func everywhere(m *ebpf.Map) []byte {
	key := make([]byte, m.KeySize())
	key[0], key[4] = 8, '/' // little-endian, as all machines of the connector
	return key
}

// Who writes into the kernel's lists can leave out everything. The canary tells. A source that is opened anew mends it, and where that is
// filled again, it is a fault until nobody does any more.
func TestFilledFilterIsSeenByTheCanary(t *testing.T) {
	l := newLive(t, t.TempDir())
	l.exclusions.Paths = []string{"/srv/"} // paths are looked at only where some are excluded
	l.start()
	l.until("the first canary", func(s *control.Status) bool { return s.Canary != nil && s.Canary.OK })
	l.patience.Store(int64(time.Second))
	fill := func() {
		m := ownMap(t, "places")
		defer m.Close()
		if err := m.Put(everywhere(m), uint32(1)); err != nil {
			t.Error(err)
		}
	}

	l.set(func(l *live) { l.opened = func(monitor.Source) { l.patience.Store(0) } })
	fill()
	started := time.Now()
	l.sendCanary()
	l.until("a source opened anew", func(*control.Status) bool { return l.opens() == 2 })
	s := l.until("its canary", func(s *control.Status) bool { return s.Canary.Time.After(started) && s.Canary.OK })
	t.Logf("filled once: mended after %v", time.Since(started))
	if s.Mode != control.Normal {
		t.Errorf("mode %s", s.Mode)
	}

	l.patience.Store(int64(time.Second))
	l.set(func(l *live) { l.opened = func(monitor.Source) { fill() } })
	fill()
	started = time.Now()
	l.sendCanary()
	s = l.until("the missing kinds as a fault", func(s *control.Status) bool { return l.opens() == 3 && missingCounts(l) })
	// Names of the other kinds, which begin with a dot, are not compared where tracepoints give no more than what the process called them.
	for _, kind := range []string{"exec", "create", "write", "map"} {
		if !slices.Contains(s.Canary.Missing, kind) {
			t.Errorf("missing %v, expected %s among them", s.Canary.Missing, kind)
		}
	}
	if s.Canary.OK || s.Mode != control.Degraded || !slices.Contains(s.Canary.Seen, "open") || !slices.Contains(s.Canary.Seen, "listen") {
		t.Errorf("mode %s, %+v; expected that only what has a path is missing", s.Mode, s.Canary)
	}
	t.Logf("filled again and again: a fault after %v, missing %v", time.Since(started), s.Canary.Missing)
	if s := l.ask(control.Evaluate); !raised(s, 8) || raised(s, 9) {
		t.Errorf("raised %+v, expected fault 8 and not 9", s.Raised())
	}

	l.patience.Store(0)
	m := ownMap(t, "places")
	defer m.Close()
	if err := m.Delete(everywhere(m)); err != nil {
		t.Fatal(err)
	}
	l.sendCanary()
	l.until("the canary again", func(s *control.Status) bool { return s.Canary.OK && s.Mode == control.Normal })
	if s := l.ask(control.Evaluate); raised(s, 8) {
		t.Errorf("raised %+v", s.Raised())
	}
	if l.opens() != 3 {
		t.Errorf("%d sources were opened, expected 3", l.opens())
	}
}

// missingCounts reports whether the rules were given missing kinds at the last evaluation.
func missingCounts(l *live) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.judged) > 0 && l.judged[len(l.judged)-1].Missing != 0
}

func raised(s *control.Status, id fault.ID) bool {
	return slices.ContainsFunc(s.Raised(), func(f control.Fault) bool { return f.ID == id })
}

// The kernel detaches no tracepoint, fentry or kprobe by its link's id, whoever asks (EOPNOTSUPP). But whoever writes the settings has the
// programs pass over what they see, which comes to the same.
func TestBlindedProgramsAreSeenByTheCanary(t *testing.T) {
	l := startLive(t)
	l.patience.Store(int64(2 * time.Second))
	refused, links := 0, numbersOf(os.Getpid(), "link_id")
	for id := range links {
		a, err := link.NewFromID(link.ID(id))
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Detach(); errors.Is(err, link.ErrNotSupported) {
			refused++
		}
		a.Close()
	}
	t.Logf("the kernel refuses to detach %d of %d links by their ids", refused, len(links))

	kinds := func(kinds uint32) {
		m := ownMap(t, "settings")
		defer m.Close()
		value, err := m.LookupBytes(uint32(0))
		if err != nil {
			t.Error(err)
			return
		}
		binary.NativeEndian.PutUint32(value, kinds) // struct amp_settings begins with them
		if err := m.Put(uint32(0), value); err != nil {
			t.Error(err)
		}
	}
	all := uint32(monitor.ProcessKinds | monitor.FileKinds | monitor.NetworkKinds)
	for _, c := range []struct {
		without monitor.Kinds
		mode    control.Mode
	}{
		{monitor.KindsOf(monitor.FileRename, monitor.Listen), control.Degraded},
		{monitor.Kinds(all), control.NoMode},
	} {
		before := l.opens()
		l.patience.Store(int64(time.Second))
		l.set(func(l *live) { l.opened = func(monitor.Source) { kinds(all &^ uint32(c.without)) } })
		kinds(all &^ uint32(c.without))
		started := time.Now()
		l.sendCanary()
		s := l.until("the missing kinds as a fault", func(*control.Status) bool { return l.opens() == before+1 && missingCounts(l) })
		if want := names(c.without & canaryKinds); s.Mode != c.mode || s.Canary.OK || !slices.Equal(s.Canary.Missing, want) {
			t.Errorf("mode %s, %+v; expected mode %s, missing %v", s.Mode, s.Canary, c.mode, want)
		}
		t.Logf("mode %s after %v, missing %v", s.Mode, time.Since(started), s.Canary.Missing)
		l.patience.Store(0)
		kinds(all)
		l.sendCanary()
		l.until("the canary again", func(s *control.Status) bool { return s.Canary.OK && s.Mode == control.Normal })
		if l.opens() != before+1 {
			t.Errorf("%d sources were opened, expected %d", l.opens(), before+1)
		}
	}
}
