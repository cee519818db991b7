package definitions

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ampconnector/amp/internal/durable"
)

// File is one file of a set.
type File struct {
	Name    string  `json:"name"`
	Size    int64   `json:"size"`   // bytes
	SHA256  string  `json:"sha256"` // hexadecimal
	BuiltIn bool    `json:"built_in,omitempty"`
	Header  *Header `json:"header,omitempty"` // of a container
}

// Set is a set of definitions. Its files do not change.
type Set struct {
	ID         string    `json:"id"`  // 16 hexadecimal digits of the SHA-256 of names and contents
	Dir        string    `json:"dir"` // where its files are, without links in the last part; for the engine to load
	BuiltIn    bool      `json:"built_in"`
	Files      []File    `json:"files"` // by name
	Made       time.Time `json:"made,omitzero"`
	From       string    `json:"from,omitempty"`       // the directory that it was taken from
	Engine     string    `json:"engine,omitempty"`     // version of the one that it was proven with
	Signatures uint32    `json:"signatures,omitempty"` // that were loaded then
}

// Newest is when the newest of its containers was built; zero where it has none.
func (s Set) Newest() time.Time {
	var newest time.Time
	for _, f := range s.Files {
		if f.Header != nil && f.Header.Built.After(newest) {
			newest = f.Header.Built
		}
	}
	return newest
}

// file returns a file of the set by its name.
func (s Set) file(name string) (File, bool) {
	for _, f := range s.Files {
		if f.Name == name {
			return f, true
		}
	}
	return File{}, false
}

// idOf makes a set's name of what is in it.
func idOf(files []File) string {
	lines := make([]string, len(files))
	for i, f := range files {
		lines[i] = f.Name + " " + f.SHA256 + "\n"
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "")))
	return hex.EncodeToString(sum[:8])
}

// isID reports whether a name is one that idOf makes.
func isID(name string) bool {
	b, err := hex.DecodeString(name)
	return err == nil && len(b) == 8 && strings.ToLower(name) == name
}

// hashFile returns the size and the SHA-256 of a file that has been opened.
func hashFile(f *os.File) (int64, string, error) {
	sum := sha256.New()
	n, err := io.Copy(sum, io.NewSectionReader(f, 0, MaxFile+1))
	return n, hex.EncodeToString(sum.Sum(nil)), err
}

// readFiles hashes the definition files of a set's directory. What cannot be read or is no regular file is among bad.
func readFiles(dir string) (files []File, bad []Check, err error) {
	s, err := openSource(dir)
	if err != nil {
		return nil, nil, err
	}
	defer s.Close()
	for _, name := range s.names {
		f, _, checks := s.open(name)
		if c, failed := failure(checks); failed {
			bad = append(bad, c)
			continue
		}
		size, sum, err := hashFile(f)
		h := headerOf(f, name)
		f.Close()
		if err != nil {
			bad = append(bad, Check{File: name, Step: StepFile, Verdict: Failed, Read: err.Error(), Expected: "a file that can be read"})
			continue
		}
		files = append(files, File{Name: name, Size: size, SHA256: sum, Header: h})
	}
	return files, bad, nil
}

// headerOf is a container's header, nil where there is none.
func headerOf(f io.ReaderAt, name string) *Header {
	if kinds[extension(name)].form != Container {
		return nil
	}
	b := make([]byte, HeaderSize)
	if _, err := f.ReadAt(b, 0); err != nil {
		return nil
	}
	h, err := ParseHeader(b)
	if err != nil {
		return nil
	}
	return &h
}

const manifestSuffix = ".json"

// writeManifest notes what is known of a set beside it, before it gets its name.
func (s *Store) writeManifest(set Set) error {
	set.Dir = "" // is where it is found
	b, err := json.MarshalIndent(set, "", " ")
	if err != nil {
		return err
	}
	return durable.Write(filepath.Join(s.sets(), set.ID+manifestSuffix), append(b, '\n'), 0o644, reached)
}

// maxManifest bounds what is read of a manifest or a record, in bytes: MaxFiles with their headers.
const maxManifest = 1 << 20

// readSet returns the set of a name in sets/: by its manifest, or, where that cannot be read, by a look at its files.
func (s *Store) readSet(id string) (Set, error) {
	dir := filepath.Join(s.sets(), id)
	if st, err := os.Lstat(dir); err != nil {
		return Set{}, err
	} else if !st.IsDir() {
		return Set{}, fmt.Errorf("%s: %s: expected a directory", dir, st.Mode().Type())
	}
	set, err := s.readManifest(id)
	if err != nil {
		files, _, ferr := readFiles(dir)
		if ferr != nil {
			return Set{}, ferr
		}
		set = Set{Files: s.markBuiltIn(files)}
	}
	set.ID, set.Dir = id, dir
	return set, nil
}

func (s *Store) readManifest(id string) (Set, error) {
	path := filepath.Join(s.sets(), id+manifestSuffix)
	b, err := readBounded(path, maxManifest)
	if err != nil {
		return Set{}, err
	}
	var set Set
	if err := json.Unmarshal(b, &set); err != nil {
		return Set{}, fmt.Errorf("%s: %w", path, err)
	}
	if got := idOf(set.Files); got != id {
		return Set{}, fmt.Errorf("%s: its files make set %s: expected %s", path, got, id)
	}
	return set, nil
}

// readBounded reads a small file of the store.
func readBounded(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("%s: expected at most %d bytes", path, most)
	}
	return b, err
}

// ErrBuiltIn is in the chain of an error when the definitions that the package brings cannot be read: installing it again mends that.
var ErrBuiltIn = errors.New("the built-in definitions cannot be used")

// builtIn is the set that the package brings.
func (s *Store) builtIn() (Set, error) {
	files, bad, err := readFiles(s.config.BuiltIn)
	if err != nil {
		return Set{}, fmt.Errorf("%w: %w", ErrBuiltIn, err)
	}
	if len(bad) > 0 {
		return Set{}, fmt.Errorf("%w: %s/%s", ErrBuiltIn, s.config.BuiltIn, bad[0])
	}
	if len(files) == 0 {
		return Set{}, fmt.Errorf("%w: %s: no definition file in it", ErrBuiltIn, s.config.BuiltIn)
	}
	for i := range files {
		files[i].BuiltIn = true
	}
	return Set{ID: idOf(files), Dir: s.config.BuiltIn, BuiltIn: true, Files: files}, nil
}

// markBuiltIn tells which files of a set without a manifest are the product's own: those of the names that it has.
func (s *Store) markBuiltIn(files []File) []File {
	own, err := s.builtIn()
	if err != nil {
		return files
	}
	for i, f := range files {
		_, files[i].BuiltIn = own.file(f.Name)
	}
	return files
}

// whole compares a set's directory with what it was when it was proven, and returns the files that are not that any more, are gone, or were added.
func (s *Store) whole(set Set) ([]Check, error) {
	files, bad, err := readFiles(set.Dir)
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, c := range bad {
		known[c.File] = true
	}
	fail := func(name, read, expected string) {
		bad = append(bad, Check{File: name, Step: StepWhole, Verdict: Failed, Read: read, Expected: expected})
	}
	for _, f := range files {
		known[f.Name] = true
		switch was, ok := set.file(f.Name); {
		case !ok:
			fail(f.Name, "SHA-256 "+f.SHA256, "no such file; nothing is added to a set")
		case was.SHA256 != f.SHA256:
			fail(f.Name, fmt.Sprintf("%d bytes, SHA-256 %s", f.Size, f.SHA256), fmt.Sprintf("%d bytes, SHA-256 %s", was.Size, was.SHA256))
		}
	}
	for _, f := range set.Files {
		if !known[f.Name] {
			fail(f.Name, "not there", "SHA-256 "+f.SHA256)
		}
	}
	if got := idOf(set.Files); len(bad) == 0 && got != set.ID {
		fail("", "files of set "+got, "those of set "+set.ID)
	}
	return bad, nil
}

// isMissing reports whether a path is not there.
func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
