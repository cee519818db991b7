package layout

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/ampconnector/amp/internal/host"
)

// slabs are caches of the running kernel that hold one structure each. Their sizes are facts that need no BTF (SLUB, mm/slub.c; root may read them).
var slabs = []struct{ cache, structure string }{
	{"inode_cache", "inode"},
	{"dentry", "dentry"},
	{"filp", "file"},
}

// contradiction compares layouts with what the running kernel tells of itself, an *Error if they differ. What it does not tell (another
// allocator, another kernel) contradicts nothing.
func contradiction(r host.Root, release, from string, spec *btf.Spec) error {
	if !running(r, release) {
		return nil
	}
	for _, s := range slabs {
		cache := "/sys/kernel/slab/" + s.cache
		name := cache + "/object_size"
		b, err := r.ReadFile(name, 64)
		if err != nil {
			continue
		}
		says, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32)
		if err != nil {
			continue
		}
		var t *btf.Struct
		if err := spec.TypeByName(s.structure, &t); err != nil {
			return &Error{Why: Malformed, From: from, Err: fmt.Errorf("struct %s: %w", s.structure, err)}
		}
		_, err = r.Readlink(cache)
		if contradicts(uint64(t.Size), says, err == nil) {
			return &Error{Why: Contradicted, From: from, Detail: fmt.Sprintf("struct %s has %d bytes, by %s it has %d", s.structure, t.Size, name, says)}
		}
	}
	return nil
}

// contradicts compares the size of a structure with that of the objects of its cache. One that may be shared with others stands in sysfs as a link,
// as that of files did before 6.7: its objects have the size of the largest of them.
func contradicts(size, says uint64, shared bool) bool {
	return size > says || size < says && !shared
}
