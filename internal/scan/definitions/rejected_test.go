package definitions

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ampconnector/amp/internal/durable"
)

// TestWhatIsSetAsideIsBounded sets more aside than there is room for.
func TestWhatIsSetAsideIsBounded(t *testing.T) {
	config := testConfig(t, t.TempDir())
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	config.Now = func() time.Time { now = now.Add(time.Second); return now }
	s := Open(config)
	if err := s.makeDirectories(); err != nil {
		t.Fatal(err)
	}
	dir := files{"a.ndb": entry}.write(t, t.TempDir())
	aside := func(i int, size int64) Rejected {
		t.Helper()
		r, err := s.setAside(Rejected{Key: keyOf(File{Name: "a.ndb", SHA256: fmt.Sprint(i)}), Name: "a.ndb", Size: size, Check: Check{Step: StepLoad, Verdict: Failed, Read: strings.Repeat("x", 2*maxLog)}}, dir, []File{{Name: "a.ndb"}})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := aside(0, maxRejectedBytes/2)
	second := aside(1, maxRejectedBytes/2)
	if first.Kept == "" || second.Kept == "" {
		t.Fatalf("%+v, %+v", first, second)
	}
	if r := aside(2, maxRejectedBytes+1); r.Kept != "" {
		t.Errorf("more than all room is kept: %+v", r)
	}
	aside(3, 1)
	if r, err := s.rejected(first.Key); err != nil || r.Kept != "" {
		t.Errorf("the oldest: %+v, %v; expected its record without its content", r, err)
	}
	if r, err := s.rejected(second.Key); err != nil || r.Kept == "" || len(r.Check.Read) > maxLog {
		t.Errorf("a newer one: %+v, %v; expected its content too", r, err)
	}
	for i := range maxRejected {
		key := fmt.Sprintf("%016x", i)
		files{key + manifestSuffix: `{"when":"2026-11-28T13:00:00Z"}`}.write(t, s.path(rejectedName))
	}
	aside(4, 1)
	all, err := s.Rejected()
	if err != nil || len(all) != maxRejected || all[0].When.Before(all[maxRejected-1].When) {
		t.Errorf("%d records, %v; expected %d, the newest first", len(all), err, maxRejected)
	}
	if _, known := s.refused(second.Key); known {
		t.Error("the oldest record is still there")
	}
	os.WriteFile(s.recordPath("0123456789abcdef"), []byte("{"), 0o644)
	if rest, err := s.Rejected(); err == nil || !strings.Contains(err.Error(), "0123456789abcdef.json") || len(rest) != len(all) {
		t.Errorf("%d records, %v; expected the others, and the name of the one that cannot be read", len(rest), err)
	}
	if names, _ := filepath.Glob(s.path(rejectedName) + "/*" + durable.NewSuffix); len(names) > 0 {
		t.Errorf("%q are left", names)
	}
}
