// Package archive makes one compressed archive of many small texts, for a person to give to another: each within a bound, all of them within
// one, without the secrets that were seen, and with a manifest that says of everything that was asked for what became of it. It knows nothing of
// what the texts are.
package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"time"
)

// Bounds of what is in an archive, in bytes before compression.
const (
	MemberLimit = 4 << 20
	TotalLimit  = 64 << 20
)

// ErrNoRoom says that a member is longer than an archive takes.
var ErrNoRoom = errors.New("no room left in the archive")

// ManifestName is the name of the first member.
const ManifestName = "MANIFEST.json"

// Member is one text in an archive.
type Member struct {
	Name    string `json:"name"`            // in the archive, below its folder
	From    string `json:"from"`            // file, command or interface that was read
	Size    int64  `json:"size"`            // bytes in the archive
	Source  int64  `json:"source_size"`     // bytes that it had where it was read, as far as that was looked at
	Cut     bool   `json:"cut"`             // the archive has its end only
	Removed int    `json:"secrets_removed"` // places
	AsItIs  bool   `json:"as_it_is"`        // no text: nothing was looked for in it
}

// Missing is something that the archive does not have, and why.
type Missing struct {
	From string `json:"from"`
	Why  string `json:"why"`
	Err  error  `json:"-"` // in whose words Why is
}

// Manifest says what is in an archive and what is not. A thing that was asked for is in it, was not there, could not be read, or was left out.
type Manifest struct {
	Format  int       `json:"format"`
	About   any       `json:"about"` // what the archive is of
	Made    time.Time `json:"made"`
	Removed int       `json:"secrets_removed"`
	Members []Member  `json:"members"`
	Absent  []Missing `json:"absent"`
	Unread  []Missing `json:"unread"`
	LeftOut []Missing `json:"left_out"`
}

// Archive is collected in memory and then written at once: its manifest comes first.
type Archive struct {
	folder   string
	redactor *Redactor
	manifest Manifest
	contents [][]byte
	total    int64
}

// New begins an archive. All of its members are in one folder, which bears that name.
func New(folder string, made time.Time, about any, r *Redactor) *Archive {
	m := Manifest{Format: 1, About: about, Made: made.UTC().Truncate(time.Second), Members: []Member{}, Absent: []Missing{}, Unread: []Missing{}, LeftOut: []Missing{}}
	return &Archive{folder: folder, redactor: r, manifest: m}
}

// Add puts a text in. Of one that is too long its end is kept, from the beginning of a line on: half a line may have the secret without the word that
// gives it away. m says name and source; where it says Cut, content is the end of something longer already. What does not go in is ErrNoRoom.
func (a *Archive) Add(m Member, content []byte) error {
	if m.Source == 0 {
		m.Source = int64(len(content))
	}
	if len(content) > MemberLimit && !m.AsItIs {
		content, m.Cut = content[len(content)-MemberLimit:], true
	}
	if m.Cut && !m.AsItIs {
		_, content, _ = bytes.Cut(content, []byte("\n"))
	}
	if !m.AsItIs {
		redact := a.redactor.Redact
		if strings.HasSuffix(m.Name, ".json") || strings.HasSuffix(m.Name, ".jsonl") {
			redact = a.redactor.redactJSON
		}
		content, m.Removed = redact(content)
	}
	m.Size = int64(len(content))
	if a.total+m.Size > TotalLimit || m.AsItIs && m.Size > MemberLimit {
		return ErrNoRoom
	}
	a.total += m.Size
	a.manifest.Removed += m.Removed
	a.manifest.Members = append(a.manifest.Members, m)
	a.contents = append(a.contents, content)
	return nil
}

// Absent tells of something that is not there; once, however often it is looked for.
func (a *Archive) Absent(from string, why error) {
	if m := a.missing(from, why); !slices.ContainsFunc(a.manifest.Absent, func(o Missing) bool { return o.From == m.From && o.Why == m.Why }) {
		a.manifest.Absent = append(a.manifest.Absent, m)
	}
}

// Unread tells of something that may be there and could not be read.
func (a *Archive) Unread(from string, why error) {
	a.manifest.Unread = append(a.manifest.Unread, a.missing(from, why))
}

// LeftOut tells of something that is not in the archive on purpose.
func (a *Archive) LeftOut(from string, why error) {
	a.manifest.LeftOut = append(a.manifest.LeftOut, a.missing(from, why))
}

func (a *Archive) missing(from string, why error) Missing {
	clean, n := a.redactor.Redact([]byte(why.Error()))
	a.manifest.Removed += n
	return Missing{from, string(clean), why}
}

// Manifest is what the archive has so far.
func (a *Archive) Manifest() Manifest { return a.manifest }

// Write writes the archive, in the format of tar(1), compressed as gzip(1) does it.
func (a *Archive) Write(w io.Writer) error {
	manifest, err := json.MarshalIndent(a.manifest, "", "  ")
	if err != nil {
		return err
	}
	z := gzip.NewWriter(w)
	t := tar.NewWriter(z)
	if err := a.member(t, ManifestName, append(manifest, '\n')); err != nil {
		return err
	}
	for i, m := range a.manifest.Members {
		if err := a.member(t, m.Name, a.contents[i]); err != nil {
			return err
		}
	}
	if err := t.Close(); err != nil {
		return err
	}
	return z.Close()
}

func (a *Archive) member(t *tar.Writer, name string, content []byte) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: a.folder + "/" + name, Mode: 0o600, Size: int64(len(content)), ModTime: a.manifest.Made}
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	_, err := t.Write(content)
	return err
}
