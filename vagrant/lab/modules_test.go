package lab

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/ampconnector/amp/kmod"
)

// What an image has built before is not built again; what stands in its folder under another name is of other sources.
func TestModulesAreKept(t *testing.T) {
	img := Image{Guest: Guest{Name: "x", Modules: true}, Dir: t.TempDir()}
	var log strings.Builder
	if err := writeFile(filepath.Join(img.Dir, "modules-0123456789abcdef", "ampfsm.ko"), "old", 0o644); err != nil {
		t.Fatal(err)
	}
	if files, err := img.Modules(t.Context(), &log); err == nil || !strings.Contains(err.Error(), "has no packages") {
		t.Errorf("%v, %v, expected that there are no headers to build in", files, err)
	}
	kept := filepath.Join(img.Dir, "modules-"+kmod.Made(), "ampfsm.ko")
	if err := writeFile(kept, "new", 0o644); err != nil {
		t.Fatal(err)
	}
	files, err := img.Modules(t.Context(), &log)
	if err != nil || len(files) != 1 || files["kmod/ampfsm.ko"] != kept {
		t.Errorf("%v, %v, expected %s", files, err, kept)
	}
}
