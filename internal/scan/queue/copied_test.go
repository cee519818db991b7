package queue

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/scan/supervise"
	"github.com/ampconnector/amp/internal/scan/verdicts"
)

func TestACopyOfWhatWasScannedIsNotScanned(t *testing.T) {
	w := newWorld(t, nil)
	w.contents = map[verdicts.Content]bool{}
	for _, f := range []struct{ name, content, scanned string }{
		{"first", "harmless", "first"},
		{"second", "harmless", ""},
		{"longer", "harmless!", "longer"},
		{"bad", bad, "bad"},
		{"bad again", bad, "bad again"}, // what is found is told with the scan of that very file
		{"limited", "large", "limited"},
		{"limited again", "large", "limited again"}, // other limits may get further
		{"broken", "broken", "broken"},
		{"broken again", "broken", "broken again"},
		{"huge", strings.Repeat("x", mostCopied+1), "huge"},
		{"huge again", strings.Repeat("x", mostCopied+1), "huge again"},
	} {
		w.q.Offer(wrote(w.file(f.name, f.content)))
		w.drain()
		if got := w.names(); got != f.scanned {
			t.Errorf("%s: scanned %q, expected %q", f.name, got, f.scanned)
		}
	}
	if c := w.q.Counts(); c.Known != 1 || c.Scanned != 10 || len(w.findings) != 2 {
		t.Errorf("%+v, %d findings", c, len(w.findings))
	}
	clear(w.contents)
	w.q.Offer(wrote(w.look(w.dir + "/second"))) // by its identity
	w.drain()
	if got := w.names(); got != "" {
		t.Errorf("%q was scanned, whose content had been known", got)
	}
}

// Whoever has a file mapped can put another content there for the moment of the scan. What is then known of its content must be what was found in it.
func TestWhatIsScannedIsWhatIsRemembered(t *testing.T) {
	w := newWorld(t, nil)
	w.contents = map[verdicts.Content]bool{}
	w.during = func(j supervise.Job) error {
		if err := os.WriteFile(j.Path, []byte("something else, and longer"), 0o600); err != nil {
			return err
		}
		if got, err := io.ReadAll(io.NewSectionReader(j.File, 0, 100)); string(got) != "harmless" || err != nil {
			t.Errorf("the scanner has %q, %v", got, err)
		}
		if _, err := j.File.WriteAt([]byte("x"), 0); err == nil {
			t.Error("the scanner can write to what it is given")
		}
		var st unix.Stat_t
		if err := unix.Fstat(int(j.File.Fd()), &st); err != nil || st.Mode&0o777 != 0o400 {
			t.Errorf("mode %#o, %v; expected that nobody but its owner can open it", st.Mode, err)
		}
		w.during = nil
		return nil
	}
	w.q.Offer(wrote(w.file("f", "harmless")))
	w.drain()
	w.q.Offer(wrote(w.file("g", "harmless")))
	w.drain()
	if got := w.names(); got != "f f" { // it had changed
		t.Errorf("scanned %q", got)
	}
}

func TestACopyIsUsedAgainUnlessTheServiceMayHaveIt(t *testing.T) {
	w := newWorld(t, nil)
	w.q.Offer(wrote(w.file("f", "1")))
	w.q.Offer(wrote(w.file("g", "2")))
	w.drain()
	if w.jobs[0].File != w.jobs[1].File || len(w.q.copies) != 1 {
		t.Errorf("%d copies are left of two files", len(w.q.copies))
	}
	w.during = func(supervise.Job) error { return errors.New("gone") }
	w.q.Offer(wrote(w.file("h", "3")))
	w.drain()
	if len(w.q.copies) != 0 {
		t.Error("a copy that a service may still read is used again")
	}
}

func TestWhatMayNeverBeReadIsNotCopied(t *testing.T) {
	w := newWorld(t, nil)
	f, err := os.Open(w.file("f", "x").Path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	id, err := verdicts.Identify(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name       string
		filesystem uint32
		copied     bool
	}{{"ext4", unix.EXT4_SUPER_MAGIC, true}, {"FUSE", unix.FUSE_SUPER_MAGIC, false}, {"NFS", unix.NFS_SUPER_MAGIC, false}} {
		id.Filesystem = c.filesystem
		if got := w.q.copyOf(t.Context(), f, &id); (got != nil) != c.copied {
			t.Errorf("%s: copied %v, expected %v", c.name, got != nil, c.copied)
		}
	}
}
