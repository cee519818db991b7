package layout

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ampconnector/amp/internal/durable"
	"github.com/ampconnector/amp/internal/host"
)

// recipe is raised when other BTF is made of the same headers and structures.
const recipe = 1

// keyParts are the files of a tree by which it is told from another of the same release: what is configured, which the compiler reads, with
// the compiler's own version; the release; the sums of all that the kernel exports, which change with a structure.
var keyParts = []string{autoConf, "include/generated/autoconf.h", "include/generated/utsrelease.h", "Module.symvers"}

const (
	maxKeyPart = 64 << 20
	maxKept    = 4 // layouts of so many kernels; 80 KB each
	cacheMagic = "amp-layout 1 sha256 "
	cacheTail  = ".layout"
)

// key is a hash of all that the layouts are made from.
func key(r host.Root, tree string) (string, error) {
	return Key(r, tree, recipe, sources)
}

// Key is a hash of a header tree, and of the files and the recipe by which something is made in it.
func Key(r host.Root, tree string, recipe any, sources Sources) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, recipe)
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		fmt.Fprintf(h, "%s %d\n%s", name, len(sources[name]), sources[name])
	}
	for _, part := range keyParts {
		b, err := r.ReadFile(path.Join(tree, part), maxKeyPart)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %d\n", part, len(b))
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// cacheName is where the layouts of a release and key are, as seen from inside the root.
func (s Store) cacheName(release, key string) string {
	return path.Join(s.Dir, release+"-"+key+cacheTail)
}

// readCache reads layouts that were kept. A damaged file is an error, as one that is not there.
func readCache(r host.Root, name string) ([]byte, error) {
	b, err := r.ReadFile(name, maxBTF)
	if err != nil {
		return nil, err
	}
	head, types, ok := bytes.Cut(b, []byte("\n"))
	sum, magic := bytes.CutPrefix(head, []byte(cacheMagic))
	if !ok || !magic {
		return nil, fmt.Errorf("%s: %w: it begins with %.40q, expected %q", name, host.ErrMalformed, head, cacheMagic)
	}
	if is := sumOf(types); is != string(sum) {
		return nil, fmt.Errorf("%s: %w: the sum is %s, expected %s", name, host.ErrMalformed, is, sum)
	}
	return types, nil
}

// isKept reports whether layouts are there and whole; others are derived anew.
func isKept(r host.Root, name string) bool {
	_, err := readCache(r, name)
	return err == nil
}

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// keep writes layouts so that they are there whole or not at all, and drops the oldest beyond maxKept.
func (s Store) keep(r host.Root, name string, types []byte) error {
	file, err := r.Path(name)
	if err != nil {
		return err
	}
	if err := durable.Write(file, fmt.Appendf(nil, "%s%s\n%s", cacheMagic, sumOf(types), types), 0o644, nil); err != nil {
		return err
	}
	return prune(filepath.Dir(file), filepath.Base(file))
}

// prune removes old layouts, and what an interrupted run left half written.
func prune(dir, but string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	type kept struct {
		name string
		time time.Time
	}
	var all []kept
	for _, e := range entries {
		fi, err := e.Info()
		switch {
		case err != nil || !fi.Mode().IsRegular() || e.Name() == but:
		case strings.HasSuffix(e.Name(), cacheTail):
			all = append(all, kept{e.Name(), fi.ModTime()})
		case strings.HasSuffix(e.Name(), cacheTail+durable.NewSuffix) && time.Since(fi.ModTime()) > time.Hour:
			err = ignoreAbsent(os.Remove(filepath.Join(dir, e.Name())))
		}
		if err != nil {
			return err
		}
	}
	slices.SortFunc(all, func(a, b kept) int { return b.time.Compare(a.time) })
	for _, k := range all[min(len(all), maxKept-1):] {
		if err := ignoreAbsent(os.Remove(filepath.Join(dir, k.name))); err != nil {
			return err
		}
	}
	return nil
}

func ignoreAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
