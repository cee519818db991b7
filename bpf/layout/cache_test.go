package layout

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ampconnector/amp/internal/durable"
	"github.com/ampconnector/amp/internal/host"
)

func TestCache(t *testing.T) {
	r, headers := madeTree(t, "@false")
	s := Store{Dir: Dir}
	find := func() *plan {
		t.Helper()
		p, err := s.find(r, "1.2.3", headers)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := find()
	if first.Origin != Derived {
		t.Fatalf("%+v, expected %s", first, Derived)
	}
	if err := os.MkdirAll(filepath.Join(r.Dir(), Dir), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := s.keep(r, first.cache, []byte("types")); err != nil {
		t.Fatal(err)
	}
	if p := find(); p.Origin != Cached {
		t.Fatalf("%+v, expected %s", p, Cached)
	}
	file := filepath.Join(r.Dir(), first.cache)
	whole := mustRead(t, file)
	for name, damaged := range map[string][]byte{
		"empty": nil, "cut off": whole[:len(whole)-1], "longer": append(whole[:len(whole):len(whole)], 'x'), "changed": []byte(string(whole[:len(whole)-1]) + "S"),
		"no head": []byte("types"),
	} {
		put(t, file, damaged)
		if p := find(); p.Origin != Derived {
			t.Errorf("%s: %+v, expected %s", name, p, Derived)
		}
	}
	put(t, file, whole)
	for _, part := range keyParts {
		name := filepath.Join(r.Dir(), headers.Link, part)
		before := mustRead(t, name)
		put(t, name, append(before[:len(before):len(before)], '\n'))
		if p := find(); p.Origin != Derived || p.cache == first.cache {
			t.Errorf("%s changed: %+v, expected %s", part, p, Derived)
		}
		put(t, name, before)
	}
	if p := find(); p.Origin != Cached {
		t.Errorf("%+v, expected %s", p, Cached)
	}
}

// A few kernels' layouts are kept, the newest, and the rest of a run that was killed is not.
func TestCacheIsBounded(t *testing.T) {
	dir := t.TempDir()
	r, s := host.At(dir), Store{Dir: "/layouts"}
	folder := filepath.Join(dir, s.Dir)
	for i := range 9 {
		name := filepath.Join(folder, fmt.Sprintf("old%d%s", i, cacheTail))
		put(t, name, nil)
		when := time.Now().Add(time.Duration(i-10) * time.Hour)
		if err := os.Chtimes(name, when, when); err != nil {
			t.Fatal(err)
		}
	}
	half, other := filepath.Join(folder, "0.9-key"+cacheTail+durable.NewSuffix), filepath.Join(folder, "other.log")
	put(t, half, nil)
	put(t, other, nil)
	old := time.Now().Add(-2 * time.Hour)
	if err := errors.Join(os.Chtimes(half, old, old), s.keep(r, s.cacheName("1.2.3", "key"), []byte("types"))); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := "[1.2.3-key.layout old6.layout old7.layout old8.layout other.log]"; fmt.Sprint(names) != want {
		t.Errorf("%v, expected %s", names, want)
	}
}

// Where the folder cannot be written to, the layouts are there all the same, and it is said.
func TestUnkept(t *testing.T) {
	s := Store{Dir: "/layouts"}
	if err := s.keep(host.At(t.TempDir()), s.cacheName("1.2.3", "key"), nil); err == nil {
		t.Error("kept in a folder that is not there")
	}
}

// Layouts are derived on the host that runs alone: an image has compilers for its own kernel, if any.
func TestNotOfAnImage(t *testing.T) {
	r, headers := madeTree(t, "@false")
	s := Store{Dir: Dir}
	found := s.Find(r, "1.2.3", headers)
	if !found.Known() || found.Value.Origin != None || found.Value.Reason.Why != NotHere {
		t.Errorf("found %+v, expected %s", found, NotHere)
	}
	_, f, err := s.Open(t.Context(), r, "1.2.3", headers)
	var e *Error
	if !errors.As(err, &e) || e.Why != NotHere || f.Reason != e || f.Origin != None {
		t.Errorf("opened %+v (%v), expected %s", f, err, NotHere)
	}
}

func TestTexts(t *testing.T) {
	for _, why := range []Why{NoHeaders, TreeIncomplete, OtherRelease, NoMake, NoCompiler, OtherCompiler, Shuffled, BuildFailed, NoDebugInfo, Malformed,
		Contradicted, DiskFull, TimedOut, NotHere} {
		if text := (&Error{Why: why}).Text(); text.EN == "" || text.JA == "" {
			t.Errorf("%s: %+v, expected a text in both languages", why, text)
		}
	}
}
