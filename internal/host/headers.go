package host

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"

	securejoin "github.com/cyphar/filepath-securejoin"
)

// Headers is the tree that modules of one kernel release are built in: what a kernel's header package brings.
type Headers struct {
	Link    string   // /lib/modules/RELEASE/build
	Target  string   // what the link says, "" where Link is a directory itself
	Release string   // of the tree, by its version header; "" where it has none
	Missing []string // what a complete tree has and this one has not, relative to Link
}

// Right reports whether the tree is that of exactly this release, and complete.
func (h *Headers) Right(release string) bool {
	return h != nil && h.Release == release && len(h.Missing) == 0
}

// headerParts are files of a tree that can build modules, since Linux 2.6.33 (Documentation/kbuild/modules.rst); the ones that the
// builds of distributions have been seen to leave out when a package is installed in part, or without those that it depends on.
var headerParts = []string{"Makefile", "include/generated/autoconf.h", "include/config/auto.conf", "scripts/basic/fixdep", "scripts/mod/modpost", "Module.symvers"}

// versionHeaders say which release a tree is of; the second is that of kernels before 2.6.33.
var versionHeaders = []string{"include/generated/utsrelease.h", "include/linux/utsrelease.h"}

var (
	releaseDefine = regexp.MustCompile(`(?m)^#define[ \t]+UTS_RELEASE[ \t]+"([^"\n]{1,64})"`)
	// makefileInclude is how Debian's tree of one flavour leads to the common one.
	makefileInclude = regexp.MustCompile(`(?m)^include[ \t]+(/[^\s$()]{1,255})[ \t]*$`)
)

const headerFileLimit = 256 << 10 // bytes

// HeadersOf reads the header tree of a release. nil is a host that has no build link for it.
func HeadersOf(r Root, release string) Reading[*Headers] {
	link := path.Join("/lib/modules", release, "build")
	if _, err := r.Lstat(link); absent(err) {
		return Read[*Headers](nil, link)
	} else if err != nil {
		return NotKnown[*Headers](link, err)
	}
	h := &Headers{Link: link}
	h.Target, _ = r.Readlink(link) // an error: it is no link
	there, err := r.exists(link)
	if err != nil {
		return NotKnown[*Headers](link, err)
	}
	if !there {
		h.Missing = []string{"."} // the link dangles: the package is gone
		return Read(h, link)
	}
	if h.Release, err = treeRelease(r, link); err != nil {
		return NotKnown[*Headers](link, err)
	}
	for _, part := range headerParts {
		there, err := r.exists(path.Join(link, part))
		if err != nil {
			return NotKnown[*Headers](path.Join(link, part), err)
		}
		if !there {
			h.Missing = append(h.Missing, part)
		}
	}
	common, err := missingInclude(r, path.Join(link, "Makefile"))
	if err != nil {
		return NotKnown[*Headers](path.Join(link, "Makefile"), err)
	}
	h.Missing = append(h.Missing, common...)
	return Read(h, link)
}

// HeaderFiles are files that a complete tree has, those outside of it that its Makefile includes among them: they may belong to several packages.
func HeaderFiles(r Root, release string) []string {
	link := path.Join("/lib/modules", release, "build")
	files := make([]string, 0, len(headerParts)+1)
	for _, part := range headerParts {
		files = append(files, path.Join(link, part))
	}
	return append(files, included(r, path.Join(link, "Makefile"))...)
}

func included(r Root, makefile string) (files []string) {
	b, err := r.ReadFile(makefile, headerFileLimit)
	if err != nil {
		return nil
	}
	for _, m := range makefileInclude.FindAllSubmatch(b, maxMakeIncludes) {
		files = append(files, string(m[1]))
	}
	return files
}

const maxMakeIncludes = 16

// treeRelease reads the version header, "" where the tree has none.
func treeRelease(r Root, tree string) (string, error) {
	for _, name := range versionHeaders {
		file := path.Join(tree, name)
		b, err := r.ReadFile(file, headerFileLimit)
		if absent(err) {
			continue
		}
		if err != nil {
			return "", err
		}
		m := releaseDefine.FindSubmatch(b)
		if m == nil {
			return "", fmt.Errorf("%s: %w: no line #define UTS_RELEASE \"…\"", file, ErrMalformed)
		}
		return string(m[1]), nil
	}
	return "", nil
}

// missingInclude lists the files outside of the tree that its Makefile includes and that are not there.
func missingInclude(r Root, makefile string) (missing []string, err error) {
	b, err := r.ReadFile(makefile, headerFileLimit)
	if absent(err) {
		return nil, nil // listed as missing itself
	}
	if err != nil {
		return nil, err
	}
	for _, m := range makefileInclude.FindAllSubmatch(b, maxMakeIncludes) {
		file := string(bytes.Clone(m[1]))
		there, err := r.exists(file)
		if err != nil {
			return nil, err
		}
		if !there {
			missing = append(missing, file)
		}
	}
	return missing, nil
}

func absent(err error) bool { return errors.Is(err, fs.ErrNotExist) || securejoin.IsNotExist(err) }
