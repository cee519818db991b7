package kmod

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/ampconnector/amp/bpf/layout"
	"github.com/ampconnector/amp/bpf/record"
)

//go:embed src/*.c src/*.h src/Makefile
var src embed.FS

// sources are what the modules are made of.
var sources = layout.SourcesOf(src, record.Headers)

// sourcesID tells sources from others, in the words of a module that was made of them: src/Makefile has it of the same files. Versions of the product
// are no measure, since a module that was built before its sources changed keeps the name that it had.
func sourcesID(s layout.Sources) string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(s)) {
		h.Write(s[name])
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// errOtherSources is a module of our name that is of another version of the product, or none of ours.
var errOtherSources = errors.New("it is not of this version")

// checkSources reports a module that was made of other sources than these. What is no module at all is left to the kernel to refuse, which says more.
func checkSources(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := ReadModuleInfo(name, f)
	if is := sourcesID(sources); err == nil && info.Sources != is {
		return fmt.Errorf("%s: %w: made of the sources %q, expected %q", name, errOtherSources, info.Sources, is)
	}
	return nil
}

// fits reports whether b is a module of this version for the kernel of that release.
func fits(b []byte, release string) bool {
	info, err := parseModule(b)
	of, _, _ := strings.Cut(info.VersionMagic, " ")
	return err == nil && info.Sources == sourcesID(sources) && of == release
}
