package host

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// EngineSonames are the names that the scan engine's library, libclamav, may have, in the order in which they are tried: 12 is of ClamAV 1.3
// to 1.5 (what Debian and EPEL bring as updates), 11 of 1.0 to 1.2 (Debian 12 as it was released), 9 of 0.101 to 0.105 (EPEL 7, older Ubuntu
// and SUSE). 10 was not released. Those after 12 did not exist when this was written; a library of such a name works if it has kept the
// functions.
var EngineSonames = []string{
	"libclamav.so.12", "libclamav.so.11", "libclamav.so.9", "libclamav.so.10",
	"libclamav.so.13", "libclamav.so.14", "libclamav.so.15", "libclamav.so.16",
}

// EngineFacts is what the files of a host say of its scan engine.
type EngineFacts struct {
	Libraries  Reading[[]string] // files with a name of EngineSonames, none if the engine is not installed
	Repository Reading[bool]     // the repository that EngineSource names is set up; known only where it names one
}

func engine(r Root, d Reading[Distribution]) EngineFacts {
	f := EngineFacts{Libraries: EngineLibrary(r), Repository: NotKnown[bool](repoFolder, errNoRepository)}
	if source, ok := EngineSource(d.Value); ok && d.Known() && source.Repository != "" {
		f.Repository = hasRepository(r, source.Repository)
	}
	return f
}

var errNoRepository = errors.New("the engine's package comes from the distribution itself, or is not known")

// libraryFolders are those that ld.so(8) looks into by itself, and where the distributions put the libraries of an architecture.
var libraryFolders = []string{
	"/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib",
	"/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/lib64", "/lib",
}

// EngineLibrary finds the scan engine's library below r, where ld.so(8) would. That none is there is an answer; that a folder cannot be
// looked at is none, unless the library was found all the same.
func EngineLibrary(r Root) Reading[[]string] {
	folders, unread := configuredFolders(r)
	folders = append(slices.Clone(libraryFolders), folders...)
	var found []string
	seen := map[string]bool{} // of folders that are links to others
	for _, dir := range folders {
		for _, name := range EngineSonames {
			file := path.Join(dir, name)
			there, err := r.exists(file)
			switch {
			case err != nil:
				unread = errors.Join(unread, err)
			case there:
				if real, err := r.Path(file); err == nil && !seen[real] {
					seen[real] = true
					found = append(found, file)
				}
			}
		}
	}
	if len(found) == 0 && unread != nil {
		return NotKnown[[]string](ldConfig, unread)
	}
	if len(found) > 0 {
		return Read(found, path.Dir(found[0]))
	}
	return Read(found, ldConfig+", "+strings.Join(libraryFolders[:4], ", "))
}

const (
	ldConfig    = "/etc/ld.so.conf"
	maxLdConfig = 64 << 10
	maxIncludes = 256
)

// configuredFolders reads the folders of ld.so.conf(5), with what it includes.
func configuredFolders(r Root) (folders []string, err error) {
	files := []string{ldConfig}
	for i := 0; i < len(files) && i < maxIncludes; i++ {
		b, readErr := r.ReadFile(files[i], maxLdConfig)
		if errors.Is(readErr, fs.ErrNotExist) {
			continue
		}
		if readErr != nil {
			err = errors.Join(err, readErr)
			continue
		}
		for line := range strings.Lines(string(b)) {
			line, _, _ = strings.Cut(line, "#")
			line = strings.TrimSpace(line)
			switch pattern, include := strings.CutPrefix(line, "include"); {
			case include && strings.TrimSpace(pattern) != pattern:
				files = append(files, matching(r, strings.TrimSpace(pattern))...)
			case strings.HasPrefix(line, "/"):
				folders = append(folders, line)
			}
		}
	}
	return folders, err
}

// matching gives the files that a pattern of an include names; one with wildcards in its folders gives none.
func matching(r Root, pattern string) (files []string) {
	if !strings.HasPrefix(pattern, "/") {
		pattern = path.Join(path.Dir(ldConfig), pattern)
	}
	entries, err := r.ReadDir(path.Dir(pattern))
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if ok, err := path.Match(path.Base(pattern), e.Name()); ok && err == nil {
			files = append(files, path.Join(path.Dir(pattern), e.Name()))
		}
	}
	return files
}
