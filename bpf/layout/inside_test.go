package layout

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/ampconnector/amp/internal/host"
)

// A root that is a whole system builds with its own tools: make sees that root and nothing else, and runs as a stranger in it.
func TestBuildInside(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may change its root")
	}
	r, headers := madeTree(t, "false")
	build := exec.Command("go", "build", "-o", filepath.Join(r.Dir(), "usr/bin/make"), "./testdata/insidemake")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	put(t, filepath.Join(r.Dir(), "mark"), []byte("inside"))
	scratch := filepath.Join(r.Dir(), "scratch/here")
	if err := os.MkdirAll(scratch, 0o755); err != nil {
		t.Fatal(err)
	}
	j := Job{Sources: Sources{"x.c": nil}, Target: "x.o", Products: []string{"x.o"}, Patience: time.Minute, Inside: true}
	products, said, err := Build(t.Context(), r, headers.Link, scratch, j)
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	const want = `mark "inside", in /scratch/here, home /scratch/here, root false: -C /lib/modules/1.2.3/build M=/scratch/here CC=/usr/bin/gcc x.o`
	if got := string(products["x.o"]); got != want {
		t.Errorf("make says %s\nexpected %s", got, want)
	}
	_, _, err = Build(t.Context(), r, headers.Link, t.TempDir(), j)
	var e *Error
	if !errors.As(err, &e) || e.Why != BuildFailed || !contains(e.Detail, "below "+host.At(r.Dir()).Dir()) {
		t.Errorf("%v, expected that the scratch directory is not in the root", err)
	}
}
