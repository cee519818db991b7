package verdicts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	bolt "go.etcd.io/bbolt"

	"github.com/ampconnector/amp/internal/scan"
)

var (
	first  = Epoch{Definitions: "1", Engine: "1.4.3"}
	second = Epoch{Definitions: "2", Engine: "1.4.3"}
	now    = time.Unix(1_700_000_000, 0)
)

// numbered is the identity of one of many files, all of them old.
func numbered(i int) Identity {
	return Identity{Device: 7, Inode: uint64(i), Size: 9, Changed: 1 + int64(i), Modified: 2, Born: 3, Filesystem: unix.EXT4_SUPER_MAGIC}
}

func newStore(t testing.TB, path string, o Options) *Store {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return New(path, o)
}

// stop writes and closes the file, as the end of Run does.
func stop(s *Store) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s.Run(ctx)
}

func clean() Verdict { return Verdict{Result: scan.Clean, Time: now} }

func TestVerdictsLastOverARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "v.db")
	s := newStore(t, path, Options{})
	s.Begin(first)
	want := map[int]Verdict{
		1: clean(), 2: {Result: scan.Limited, Time: now},
		3: {Result: scan.Infected, Name: "Eicar-Test", SHA256: [32]byte{1, 2, 31: 3}, Time: now}, 4: {Result: scan.Infected, Name: "", Time: now},
	}
	for i, v := range want {
		s.Keep(first, numbered(i), v)
	}
	s.SetAside(first, numbered(9), "/poison")
	check := func(when string) {
		t.Helper()
		for i, v := range want {
			if got, epoch, ok := s.Lookup(numbered(i)); !ok || epoch != first || !got.Time.Equal(v.Time) || got.Result != v.Result || got.Name != v.Name || got.SHA256 != v.SHA256 {
				t.Errorf("%s: file %d: %+v %v, expected %+v", when, i, got, ok, v)
			}
		}
		if !s.Aside(numbered(9)) || !reflect.DeepEqual(s.AsidePaths(), []string{"/poison"}) {
			t.Errorf("%s: aside %v", when, s.AsidePaths())
		}
	}
	check("in memory")
	stop(s)
	s = newStore(t, path, Options{})
	if _, _, ok := s.Lookup(numbered(1)); ok || s.Aside(numbered(9)) {
		t.Error("something is known before the engine is")
	}
	s.Begin(first)
	check("after a restart")
	if st := s.State(); st.Entries != 4 || st.Error != "" {
		t.Errorf("state %+v", st)
	}
	stop(s)
	for range 2 { // what was dropped stays so
		s = newStore(t, path, Options{})
		s.Begin(second)
		if _, _, ok := s.Lookup(numbered(1)); ok || s.Aside(numbered(9)) || s.State().Entries != 0 {
			t.Error("something lasted over a change of the definitions")
		}
		stop(s)
	}
}

func TestVerdictsOfAnotherEpochAreDropped(t *testing.T) {
	s := newStore(t, filepath.Join(t.TempDir(), "v.db"), Options{})
	s.Begin(first)
	s.Keep(first, numbered(1), clean())
	s.flush()
	s.Keep(first, numbered(2), clean())
	s.SetAside(first, numbered(3), "/x")
	s.Begin(second)
	s.Keep(first, numbered(4), clean()) // of the service that was replaced meanwhile
	s.SetAside(first, numbered(5), "/y")
	s.flush()
	for i := range 6 {
		if _, _, ok := s.Lookup(numbered(i)); ok || s.Aside(numbered(i)) {
			t.Errorf("file %d is known", i)
		}
	}
	stop(s)
}

// A file that was too large is scanned when larger ones are asked for. What the service ended on is set aside all the same.
func TestVerdictsWithinOtherLimitsAreDropped(t *testing.T) {
	path := filepath.Join(t.TempDir(), "v.db")
	small := Options{Limits: scan.Limits{FileBytes: 1 << 20}}
	s := newStore(t, path, small)
	s.Begin(first)
	s.Keep(first, numbered(1), Verdict{Result: scan.Limited, Time: now})
	s.SetAside(first, numbered(9), "/poison")
	stop(s)
	for _, tt := range []struct {
		name  string
		o     Options
		known bool
	}{
		{"the same", small, true},
		{"larger", Options{Limits: scan.Limits{FileBytes: 2 << 20}}, false},
		{"the former again", small, false},
	} {
		s = newStore(t, path, tt.o)
		s.Begin(first)
		if _, _, ok := s.Lookup(numbered(1)); ok != tt.known || !s.Aside(numbered(9)) {
			t.Errorf("%s limits: known %t, expected %t; set aside %q", tt.name, ok, tt.known, s.AsidePaths())
		}
		stop(s)
	}
}

func TestWhatIsNotKept(t *testing.T) {
	s := newStore(t, filepath.Join(t.TempDir(), "v.db"), Options{})
	s.Keep(Epoch{}, numbered(0), clean())
	s.Begin(first)
	s.Keep(first, numbered(1), Verdict{Result: scan.Failed, Time: now})
	s.Keep(first, numbered(2), Verdict{Time: now})
	young := numbered(3)
	young.Changed = now.Add(-time.Millisecond).UnixNano()
	s.Keep(first, young, clean())
	for _, id := range []Identity{numbered(0), numbered(1), numbered(2), young} {
		if _, _, ok := s.Lookup(id); ok {
			t.Errorf("%+v is known", id)
		}
	}
	stop(s)
}

func TestAChangedFileIsNotKnown(t *testing.T) {
	s := newStore(t, filepath.Join(t.TempDir(), "v.db"), Options{})
	s.Begin(first)
	s.Keep(first, numbered(1), clean())
	s.SetAside(first, numbered(1), "/x")
	for stored := range 2 {
		for i := range reflect.TypeFor[Identity]().NumField() {
			id := numbered(1)
			field := reflect.ValueOf(&id).Elem().Field(i)
			if field.CanInt() {
				field.SetInt(field.Int() + 1)
			} else {
				field.SetUint(field.Uint() + 1)
			}
			if _, _, ok := s.Lookup(id); ok || s.Aside(id) {
				t.Errorf("a file with another %s is known", reflect.TypeFor[Identity]().Field(i).Name)
			}
		}
		if stored == 0 {
			s.flush()
			s.recent.clear()
		}
	}
	stop(s)
}

func TestTheStoreIsBounded(t *testing.T) {
	s := newStore(t, filepath.Join(t.TempDir(), "v.db"), Options{Entries: 1000, Recent: 64})
	s.Begin(first)
	for i := range 10_000 {
		s.Keep(first, numbered(i), clean())
		if i%100 == 99 {
			s.Lookup(numbered(0)) // asked for again and again, it stays
			s.flush()
		}
		if n := len(s.recent.young) + len(s.recent.elder); n > 64 {
			t.Fatalf("%d in memory", n)
		}
	}
	if n := s.State().Entries; n > 1000 || n < 500 {
		t.Errorf("%d entries of at most 1000", n)
	}
	for i := range 10_000 {
		_, _, ok := s.Lookup(numbered(i))
		if late := i >= 9500 || i == 0; late && !ok || i > 0 && i < 9000 && ok {
			t.Fatalf("file %d: known %v", i, ok)
		}
	}
	for i := range 2 * maxAside {
		s.SetAside(first, numbered(i), strings.Repeat("x", 2*maxAsidePath))
	}
	if paths := s.AsidePaths(); len(paths) != maxAside || len(paths[0]) != maxAsidePath || s.Aside(numbered(0)) || !s.Aside(numbered(2*maxAside-1)) {
		t.Errorf("%d aside", len(paths))
	}
	stop(s)
}

// fill makes a file with verdicts and returns its path.
func fill(t testing.TB, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "v.db")
	s := newStore(t, path, Options{})
	s.Begin(first)
	for i := range n {
		s.Keep(first, numbered(i), clean())
		if i%batch == 0 {
			s.flush()
		}
	}
	stop(s)
	return path
}

func TestADamagedFileIsSetAside(t *testing.T) {
	for _, tt := range []struct {
		name   string
		killed bool // its checksum is not known
		damage func([]byte) []byte
	}{
		{"text", false, func([]byte) []byte { return []byte(strings.Repeat("no store\n", 2000)) }},
		{"cut in the head", true, func(b []byte) []byte { return b[:100] }},
		{"zeros", true, func(b []byte) []byte { return make([]byte, len(b)) }},
		{"heads alone", true, func(b []byte) []byte { return append(b[:8192:8192], make([]byte, len(b)-8192)...) }},
		{"cut after the heads", true, func(b []byte) []byte { return b[:8192] }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := fill(t, 3000)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, tt.damage(b), 0o600); err != nil {
				t.Fatal(err)
			}
			if tt.killed {
				if err := noteOpen(path, 1); err != nil {
					t.Fatal(err)
				}
			}
			var log strings.Builder
			s := newStore(t, path, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
			s.Begin(first)
			s.Lookup(numbered(1))
			s.Keep(first, numbered(1), clean())
			s.flush()
			if _, err := os.Stat(path + ".damaged"); err != nil || !strings.Contains(log.String(), "damaged") {
				t.Errorf("not set aside: %v; log %s", err, log.String())
			}
			if st := s.State(); st.Error != "" || st.Entries != 1 {
				t.Errorf("state %+v", st)
			}
			stop(s)
		})
	}
}

// Whatever a byte becomes, the file is not believed.
func TestADamagedByteIsSeen(t *testing.T) {
	path := fill(t, 300)
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(sound); at += 1999 {
		b := append([]byte(nil), sound...)
		b[at] ^= 0x11
		state, err := os.ReadFile(statePath(path))
		if err != nil {
			t.Fatal(err)
		}
		spoilt := filepath.Join(t.TempDir(), "v.db")
		if err := errors.Join(os.WriteFile(spoilt, b, 0o600), os.WriteFile(statePath(spoilt), state, 0o600)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := checkSound(spoilt); !damaged(err) {
			t.Fatalf("byte %d: %v", at, err)
		}
	}
}

// kill copies a store as it is on disk while it is open: what a killed daemon leaves.
func kill(t *testing.T, path string) string {
	t.Helper()
	left := filepath.Join(t.TempDir(), "v.db")
	for _, p := range [][2]string{{path, left}, {statePath(path), statePath(left)}} {
		b, err := os.ReadFile(p[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p[1], b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return left
}

func TestAKilledDaemonKeepsItsVerdictsButNotForEver(t *testing.T) {
	path := fill(t, 10)
	for kills, want := range []bool{true, true, false} {
		s := newStore(t, path, Options{})
		s.Begin(first)
		if _, _, ok := s.Lookup(numbered(1)); ok != want {
			t.Errorf("after %d kills: known %v", kills, ok)
		}
		path = kill(t, path)
		stop(s)
	}
}

// tryAgain has a store take up its file again that it let go of.
func tryAgain(t *testing.T, s *Store, clock *time.Time) {
	t.Helper()
	for range 50 { // who let go of it may hold its lock still
		*clock = clock.Add(2 * retryPeriod)
		s.flush()
		if s.State().Error == "" {
			return
		}
	}
	t.Fatalf("not used again: %+v", s.State())
}

// A disk that is full again and again is no end of the daemon: the file is neither judged by that nor set aside.
func TestAFileThatIsLetGoOfIsNotDamaged(t *testing.T) {
	for name, noted := range map[string]bool{"noted": true, "could not be noted": false} {
		t.Run(name, func(t *testing.T) {
			clock, path := now, fill(t, 10)
			s := newStore(t, path, Options{Recent: 2, Now: func() time.Time { return clock }})
			s.Begin(first)
			for range 2 * mostUnclean {
				s.Keep(first, numbered(99), clean())
				inUse, err := os.ReadFile(statePath(path))
				if err != nil {
					t.Fatal(err)
				}
				s.lost(s.db, fmt.Errorf("write: %w", unix.ENOSPC))
				if !noted {
					if err := noteLeft(path, inUse); err != nil {
						t.Fatal(err)
					}
				}
				tryAgain(t, s, &clock)
				if _, _, ok := s.Lookup(numbered(1)); !ok {
					t.Fatal("what was in the file is not known any more")
				}
			}
			if _, err := os.Stat(path + ".damaged"); err == nil {
				t.Error("the file is set aside")
			}
			for kills, want := range []bool{true, true, false} { // those of the daemon count as ever
				if kills > 0 {
					s = newStore(t, path, Options{Recent: 2})
					s.Begin(first)
				}
				if _, _, ok := s.Lookup(numbered(1)); ok != want {
					t.Errorf("after %d kills: known %v", kills, ok)
				}
				left := kill(t, path)
				stop(s)
				path = left
			}
		})
	}
}

// A daemon that ends while it does without the file has not ended with it open.
func TestAnEndWithoutTheFileDoesNotCount(t *testing.T) {
	path := fill(t, 10)
	for ends := range 2 * mostUnclean {
		s := newStore(t, path, Options{})
		s.Begin(first)
		if _, _, ok := s.Lookup(numbered(1)); !ok {
			t.Fatalf("after %d ends nothing is known", ends)
		}
		s.lost(s.db, fmt.Errorf("write: %w", unix.ENOSPC))
		path = kill(t, path)
		stop(s)
	}
}

// What somebody else has open was not opened: how it was left stays to be read.
func TestAFileThatCouldNotBeOpenedIsLeftAsItWas(t *testing.T) {
	for _, left := range []string{"", "open 1\n"} {
		clock, path := now, fill(t, 10)
		if left != "" {
			if err := noteLeft(path, []byte(left)); err != nil {
				t.Fatal(err)
			}
		}
		before, err := os.ReadFile(statePath(path))
		if err != nil {
			t.Fatal(err)
		}
		other, err := bolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		s := newStore(t, path, Options{Now: func() time.Time { return clock }})
		s.Begin(first)
		clock = clock.Add(2 * retryPeriod)
		s.flush()
		if after, err := os.ReadFile(statePath(path)); string(after) != string(before) {
			t.Errorf("%q, %v; expected %q as before", after, err, before)
		}
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
		tryAgain(t, s, &clock)
		if _, _, ok := s.Lookup(numbered(1)); !ok {
			t.Error("what was in the file is not known any more")
		}
		stop(s)
	}
}

func TestAFileThatIsCutWhileItIsOpenIsReplaced(t *testing.T) {
	path := fill(t, 20_000)
	s := newStore(t, path, Options{Recent: 2})
	s.Begin(first)
	if err := os.Truncate(path, 8192); err != nil {
		t.Fatal(err)
	}
	for i := range 20_000 {
		s.Lookup(numbered(i))
	}
	s.Keep(first, numbered(1), clean())
	s.flush()
	if st := s.State(); st.Error != "" || st.Entries != 1 {
		t.Errorf("state %+v, expected a new file with one entry", st)
	}
	stop(s)
}

func TestAFileThatCannotBeUsed(t *testing.T) {
	clock := now
	for _, tt := range []struct {
		name, want string
		spoil      func(t *testing.T, path string) (mend func())
	}{
		{"locked", "another process", func(t *testing.T, path string) func() {
			db, err := bolt.Open(path, 0o600, nil)
			if err != nil {
				t.Fatal(err)
			}
			return func() { db.Close() }
		}},
		{"its folder is a file", "not a directory", func(t *testing.T, path string) func() {
			if err := os.WriteFile(filepath.Dir(path), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			return func() { os.Remove(filepath.Dir(path)) }
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "v.db")
			if tt.name != "locked" {
				path = filepath.Join(dir, "sub", "v.db")
			}
			mend := tt.spoil(t, path)
			var log strings.Builder
			s := newStore(t, path, Options{Log: slog.New(slog.NewTextHandler(&log, nil)), Now: func() time.Time { return clock }})
			s.Begin(first)
			s.SetAside(first, numbered(2), "/x")
			s.Keep(first, numbered(1), clean())
			s.flush()
			if _, _, ok := s.Lookup(numbered(1)); !ok || !s.Aside(numbered(2)) {
				t.Error("nothing is kept in memory")
			}
			if st := s.State(); !strings.Contains(st.Error, tt.want) || !strings.Contains(log.String(), tt.want) {
				t.Errorf("state %+v, log %s; expected %q", st, log.String(), tt.want)
			}
			mend()
			clock = clock.Add(2 * retryPeriod)
			s.flush()
			if st := s.State(); st.Error != "" || st.Entries != 1 {
				t.Errorf("mended: state %+v", st)
			}
			stop(s)
			s = newStore(t, path, Options{})
			s.Begin(first)
			if !s.Aside(numbered(2)) {
				t.Error("what was set aside without a file is forgotten")
			}
			stop(s)
		})
	}
}

func TestNothingIsWrittenPerFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "v.db")
	ticks := make(chan time.Time)
	s := newStore(t, path, Options{After: func(time.Duration) <-chan time.Time { return ticks }})
	s.Begin(first)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	for i := range batch - 1 {
		s.Keep(first, numbered(i), clean())
	}
	if n := s.State().Entries; n != 0 {
		t.Errorf("%d were written before their time", n)
	}
	ticks <- now
	ticks <- now // the first is dealt with
	if n := s.State().Entries; n != batch-1 {
		t.Errorf("%d were written at their time", n)
	}
	cancel()
	running.Wait()
}

func TestManyAtOnce(t *testing.T) {
	s := newStore(t, filepath.Join(t.TempDir(), "v.db"), Options{Entries: 500, Recent: 50, Period: time.Millisecond})
	ctx, cancel := context.WithCancel(context.Background())
	var all, running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	for w := range 4 {
		all.Go(func() {
			for i := range 3000 {
				id := numbered(i % 700)
				if v, _, ok := s.Lookup(id); ok && v.Name != "" {
					t.Errorf("%+v", v)
				}
				s.Keep(first, id, clean())
				s.Aside(id)
				if i%100 == 0 {
					s.SetAside(first, id, "/x")
					s.State()
				}
				if i%500 == 0 && w == 0 {
					s.Begin([]Epoch{first, second}[i/500%2])
				}
			}
		})
	}
	all.Wait()
	cancel()
	running.Wait()
}

func TestAFullDiskCostsNothingButTheFile(t *testing.T) {
	s := newStore(t, filepath.Join(t.TempDir(), "v.db"), Options{})
	s.Begin(first)
	s.Keep(first, numbered(1), clean())
	s.lost(s.db, fmt.Errorf("write: %w", unix.ENOSPC))
	if _, _, ok := s.Lookup(numbered(1)); !ok || !strings.Contains(s.State().Error, "no space") {
		t.Errorf("state %+v", s.State())
	}
	stop(s)
}

func TestGuardTurnsPanicsIntoDamage(t *testing.T) {
	if err := guard(func() error { panic("page 5") }); !damaged(err) || !strings.Contains(err.Error(), "page 5") {
		t.Error(err)
	}
	if err := guard(func() error { return unix.ENOSPC }); damaged(err) || !errors.Is(err, unix.ENOSPC) {
		t.Error(err)
	}
}

func TestFindingWhatIsInMemoryAllocatesNothing(t *testing.T) {
	s := newStore(t, filepath.Join(t.TempDir(), "v.db"), Options{})
	s.Begin(first)
	s.Keep(first, numbered(1), clean())
	if n := testing.AllocsPerRun(100, func() { s.Lookup(numbered(1)) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	stop(s)
}

func TestADamagedValueIsNoVerdict(t *testing.T) {
	id := numbered(1)
	v := Verdict{Result: scan.Infected, Name: "x", Time: now}
	r := newRecord(&id, &v)
	key := id.file().key()
	value := r.encode(key)
	if _, ok := decode(key, value); !ok {
		t.Fatal("a sound one is not read")
	}
	if _, ok := decode(file{id.Device, id.Inode + 1}.key(), value); ok {
		t.Error("it speaks for another file")
	}
	for i := range value {
		value[i] ^= 1
		if _, ok := decode(key, value); ok {
			t.Errorf("byte %d", i)
		}
		value[i] ^= 1
		if _, ok := decode(key, value[:i]); ok {
			t.Errorf("cut after %d bytes", i)
		}
	}
}

func TestWhatIsAskedForStaysInMemory(t *testing.T) {
	r := newRecent[file, record](8)
	for i := range uint64(100) {
		r.put(file{1, i}, record{size: i})
		if v, ok := r.get(file{1, 0}); !ok || v.size != 0 {
			t.Fatalf("forgotten after %d", i)
		}
	}
	if _, ok := r.get(file{1, 50}); ok {
		t.Error("nothing is forgotten")
	}
}

func FuzzDecode(f *testing.F) {
	key := file{1, 2}.key()
	id := numbered(1)
	for _, v := range []Verdict{clean(), {Result: scan.Infected, Name: "x", Time: now}, {Result: scan.Failed}} {
		r := newRecord(&id, &v)
		f.Add(r.encode(key))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		r, ok := decode(key, value)
		if ok && string(r.encode(key)) != string(value) {
			t.Errorf("%x is read as %+v", value, r)
		}
		sealed := seal(key, append([]byte(nil), value...)) // past the checksum
		if r, ok := decode(key, sealed); ok && (!keepable(r.result) || string(r.encode(key)) != string(sealed)) {
			t.Errorf("%x is read as %+v", sealed, r)
		}
	})
}

func BenchmarkLookup(b *testing.B) {
	const n = 100_000
	path := fill(b, n)
	for _, bb := range []struct {
		name   string
		recent int
		from   int
		found  bool
	}{{"memory", 4 * n, 0, true}, {"file", 2, 0, true}, {"unknown", 2, n, false}} {
		b.Run(bb.name, func(b *testing.B) {
			s := newStore(b, path, Options{Recent: bb.recent})
			s.Begin(first)
			defer stop(s)
			for i := range n {
				s.Lookup(numbered(bb.from + i))
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if _, _, ok := s.Lookup(numbered(bb.from + i*7919%n)); ok != bb.found {
					b.Fatal(i, ok)
				}
				i++
			}
		})
	}
}

func BenchmarkKeep(b *testing.B) {
	s := newStore(b, filepath.Join(b.TempDir(), "v.db"), Options{})
	s.Begin(first)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		s.Keep(first, numbered(i), clean())
		i++
	}
	cancel()
	running.Wait()
}

// Scans go on while another epoch begins: whoever asks hears that nothing is known, and does not wait for the disk.
func TestNobodyWaitsForAnotherEpoch(t *testing.T) {
	s := newStore(t, filepath.Join(t.TempDir(), "v.db"), Options{Recent: 2})
	s.Begin(first)
	for i := range 9 {
		s.Keep(first, numbered(i), clean())
	}
	s.flush()
	if _, _, ok := s.Lookup(numbered(1)); !ok {
		t.Error("what is in the file is not known")
	}
	s.fileMu.Lock() // as Begin does
	if _, _, ok := s.Lookup(numbered(2)); ok {
		t.Error("something is known of a file that is being emptied")
	}
	s.fileMu.Unlock()
	if _, _, ok := s.Lookup(numbered(2)); !ok {
		t.Error("what is in the file is not known any more")
	}
	stop(s)
}

// BenchmarkLookupBesideBegin is the longest that somebody who asks is kept waiting while another epoch begins, which empties a full file.
func BenchmarkLookupBesideBegin(b *testing.B) {
	s := newStore(b, filepath.Join(b.TempDir(), "v.db"), Options{Recent: 16})
	epochs := [...]Epoch{first, second}
	var longest, begins time.Duration
	for n := 0; b.Loop(); n++ {
		epoch := epochs[n%2]
		if n == 0 {
			s.Begin(epoch)
		}
		for i := range defaultEntries / 2 {
			s.Keep(epoch, numbered(i), clean())
			if i%batch == 0 {
				s.flush()
			}
		}
		s.flush()
		over := make(chan struct{})
		go func() {
			began := time.Now()
			s.Begin(epochs[(n+1)%2])
			begins = max(begins, time.Since(began))
			close(over)
		}()
		for i, done := 0, false; !done; i++ {
			select {
			case <-over:
				done = true
			default:
			}
			began := time.Now()
			s.Lookup(numbered(i % defaultEntries))
			longest = max(longest, time.Since(began))
		}
	}
	b.ReportMetric(longest.Seconds()*1000, "ms-longest-lookup")
	b.ReportMetric(begins.Seconds()*1000, "ms-longest-begin")
}

func TestContentsAreOfOneEpoch(t *testing.T) {
	s := New(filepath.Join(t.TempDir(), "verdicts.db"), Options{})
	c, other := Content{1}, Content{2}
	first, second := Epoch{Definitions: "1"}, Epoch{Definitions: "2"}
	if s.KeepClean(Epoch{}, c); len(s.contents.young) != 0 {
		t.Error("something is kept before the first epoch")
	}
	s.Begin(first)
	s.KeepClean(first, c)
	s.KeepClean(second, other)
	if e, ok := s.KnownClean(c); !ok || e != first {
		t.Errorf("%v, %v", e, ok)
	}
	if _, ok := s.KnownClean(other); ok {
		t.Error("a content of another epoch is known")
	}
	s.Begin(second)
	if _, ok := s.KnownClean(c); ok {
		t.Error("a content is known after the definitions changed")
	}
}
