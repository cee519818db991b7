package quarantine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/durable"
)

// at does something once, when the program reaches a point.
func (b *bench) when(point string, do func()) {
	done := false
	reached = func(p string) {
		if p == point && !done {
			done = true
			do()
		}
	}
	b.Cleanup(func() { reached = func(string) {} })
}

// Another file gets the name at every point where that makes a difference: it is left alone, and nothing is lost.
func TestSwapped(t *testing.T) {
	for _, point := range []string{"copied", durable.Written, "staged", "checked"} {
		for what, swap := range map[string]func(*bench){
			"file": func(b *bench) { os.Rename(b.make("mine", "mine"), b.path) },
			"link": func(b *bench) { os.Symlink("/etc/passwd", b.path+"2"); os.Rename(b.path+"2", b.path) },
			"folder": func(b *bench) {
				os.Remove(b.path)
				os.Mkdir(b.path, 0o700)
				b.make("bad/in", "mine")
			},
			"nothing": func(b *bench) { os.Remove(b.path) },
		} {
			t.Run(what+" at "+point, func(t *testing.T) {
				b := newBench(t)
				var want unix.Stat_t
				b.when(point, func() { swap(b); unix.Lstat(b.path, &want) })
				if e, err := b.take(); err == nil {
					t.Errorf("%+v, expected an error", e)
				}
				if want.Ino != 0 {
					if st := stat(t, b.path); st.Ino != want.Ino || st.Mode != want.Mode {
						t.Errorf("%+v, expected %+v", st, want)
					}
				}
				b.tidyAround()
				if l := b.list(); len(l.Entries)+l.Usage.Files+l.Usage.Unfinished != 0 {
					t.Errorf("%+v", l)
				}
			})
		}
	}
}

// Whoever owns the folder puts another one of root's in the place of that in which the file is looked at: nothing of what is in it goes.
func TestAnotherStagedFolder(t *testing.T) {
	b := newBench(t)
	if err := os.Mkdir(filepath.Join(b.dir, "mine"), 0o700); err != nil {
		t.Fatal(err)
	}
	mine := b.make("mine/"+inside, "of root")
	p, err := at(Root{Dir: "/"}, b.path)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if err := os.Rename(filepath.Dir(mine), filepath.Join(b.dir, stagedName("id"))); err != nil {
		t.Fatal(err)
	}
	g, err := p.stage("id")
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	if err := g.take(); !errors.Is(err, unix.EEXIST) {
		t.Errorf("%v, expected that something is there", err)
	}
	b.has(b.path, content)
	b.has(filepath.Join(b.dir, stagedName("id"), inside), "of root")
}

// Its place is taken before what was moved by mistake can go back: it gets a name of its own, which is told.
func TestSwappedTwice(t *testing.T) {
	b := newBench(t)
	b.when("checked", func() { os.Rename(b.make("mine", "mine"), b.path) })
	first := reached
	reached = func(p string) {
		first(p)
		if p == "moved" {
			b.make("bad", "newer")
		}
	}
	_, err := b.take()
	if err == nil || !strings.Contains(err.Error(), "is now "+filepath.Join(b.dir, "amp-")) {
		t.Fatal(err)
	}
	b.has(b.path, "newer")
	beside, _ := filepath.Glob(filepath.Join(b.dir, "amp-*"))
	if len(beside) != 1 {
		t.Fatalf("%q", beside)
	}
	b.has(beside[0], "mine")
	b.tidyAround()
}

// A new file that gets the name once the old one has lost it stays.
func TestNewFileAtTheName(t *testing.T) {
	b := newBench(t)
	b.when("moved", func() { b.make("bad", "newer") })
	b.mustTake()
	b.has(b.path, "newer")
	b.tidyAround()
}

// What comes after the name is gone does not make the store forget the file.
func TestNameIsGone(t *testing.T) {
	b := newBench(t)
	b.when("unlinked", func() {
		staged, _ := filepath.Glob(filepath.Join(b.dir, ".amp-*"))
		if err := os.WriteFile(filepath.Join(staged[0], "more"), nil, 0o600); err != nil {
			t.Error(err)
		}
	})
	e := b.mustTake()
	b.has(b.path, "")
	b.has(b.store.path(e.ID+dataSuffix), content)
}

// It is written to between the copy and the end: what was scanned is not what there is.
func TestWrittenMeanwhile(t *testing.T) {
	for _, point := range []string{"copied", "staged", "checked", "moved"} {
		t.Run(point, func(t *testing.T) {
			b := newBench(t)
			w, err := os.OpenFile(b.path, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			b.when(point, func() { w.WriteString("!") })
			if _, err := b.take(); !errors.Is(err, ErrChanged) {
				t.Errorf("%v, expected that it was changed", err)
			}
			b.has(b.path, content+"!")
			b.tidyAround()
		})
	}
}

// The folder is moved away, and another one with another file takes its place, or a link does.
func TestFolderSwapped(t *testing.T) {
	for _, point := range []string{"copied", "staged", "checked", "moved"} {
		for what, swap := range map[string]func(*bench, string) error{
			"folder": func(b *bench, mine string) error { return os.Rename(mine, b.dir) },
			"link":   func(b *bench, mine string) error { return os.Symlink(mine, b.dir) },
		} {
			t.Run(what+" at "+point, func(t *testing.T) {
				b := newBench(t)
				mine, away := b.dir+"-mine", b.dir+"-away"
				if err := errors.Join(os.Mkdir(mine, 0o755), os.WriteFile(filepath.Join(mine, "bad"), []byte("mine"), 0o600)); err != nil {
					t.Fatal(err)
				}
				b.when(point, func() {
					if err := errors.Join(os.Rename(b.dir, away), swap(b, mine)); err != nil {
						t.Error(err)
					}
				})
				b.mustTake()
				b.has(b.path, "mine")
				b.has(filepath.Join(away, "bad"), "")
				if left, _ := filepath.Glob(away + "/.amp-*"); len(left) > 0 {
					t.Errorf("left: %q", left)
				}
			})
		}
	}
}

// Killed when another file had just been moved in the place of the one that was scanned: it goes back.
func TestKilledWithAnotherFile(t *testing.T) {
	for name, newer := range map[string]bool{"alone": false, "its name taken": true} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.when("checked", func() { os.Rename(b.make("mine", "mine"), b.path) })
			first := reached
			reached = func(p string) {
				if first(p); p == "moved" {
					panic("killed")
				}
			}
			func() {
				defer func() { _ = recover() }()
				b.take()
			}()
			b.has(b.path, "")
			at := b.path
			if newer {
				b.make("bad", "newer")
			}
			err := b.store.Recover(t.Context())
			if newer {
				found, _ := filepath.Glob(filepath.Join(b.dir, "amp-*"))
				if err == nil || len(found) != 1 || !strings.Contains(err.Error(), found[0]) {
					t.Fatalf("%v, %q", err, found)
				}
				at, err = found[0], b.store.Recover(t.Context())
			}
			if err != nil {
				t.Error(err)
			}
			b.has(at, "mine")
			b.tidyAround()
		})
	}
}
