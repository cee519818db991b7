package installer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/durable"
	"github.com/ampconnector/amp/internal/host"
)

// userGroups is the setting of login.defs(5) that decides whether useradd makes a group of the user's name.
const userGroups = "USERGROUPS_ENAB"

// LoginDefsToggle is the record of USERGROUPS_ENAB being "yes" for as long as an account tool runs. A copy of login.defs that
// says so takes the file's place, and the file itself waits beside it; both ways are one renameat2(2), so that login.defs is
// whole at every moment and the original inode returns. The record stands in a step's journal before the first exchange.
//
// Where the account tools read with libeconf no file is edited, whichever it is that decides: a drop-in that is read last says so
// meanwhile.
//
// A host whose tools read nothing but /etc/login.defs, and that has none, has nothing to toggle, and one is not made for it.
type LoginDefsToggle struct {
	Inode  uint64 // of the original; 0: there is none to exchange
	SHA256 string // of the original
	Copy   string // SHA-256 of the copy
	DropIn string // the drop-in to make, "" if none
	Folder bool   // its folder has to be made too
}

// toggleFiles are the names that take part, all in the folder of login.defs.
type toggleFiles struct {
	live   string // login.defs
	beside string // the copy before the exchange, the original after it
	kept   string // a second name of the original, only during an exchange on file systems that cannot exchange
	merged string // login.defs with somebody's edit and without ours, before it takes its place
}

func toggleFilesOf(h *Host) (toggleFiles, error) {
	live, err := h.Root.Path(host.LoginDefsPath)
	dir := filepath.Dir(live)
	beside := filepath.Join(dir, ".login.defs.cisco-amp")
	return toggleFiles{live, beside, beside + ".original", beside + ".merged"}, err
}

// recordToggle looks at login.defs as it is. It changes nothing.
func recordToggle(h *Host) (LoginDefsToggle, error) {
	if host.ReadsWithEconf(h.Root) {
		return recordDropIn(h)
	}
	files, err := toggleFilesOf(h)
	if err != nil {
		return LoginDefsToggle{}, err
	}
	original, err := look(files.live)
	if errors.Is(err, fs.ErrNotExist) {
		return LoginDefsToggle{}, nil
	}
	if err != nil {
		return LoginDefsToggle{}, err
	}
	d, err := host.ParseLoginDefs(host.LoginDefsPath, original.content)
	if err != nil || d.Bool(userGroups) {
		return LoginDefsToggle{}, err
	}
	return LoginDefsToggle{Inode: original.inode, SHA256: original.sum, Copy: sum(d.With(userGroups, "yes"))}, nil
}

// during runs f while USERGROUPS_ENAB is "yes".
func (t LoginDefsToggle) during(h *Host, f func() error) error {
	if t.Inode == 0 && t.DropIn == "" {
		return f()
	}
	if err := t.on(h); err != nil {
		return errors.Join(explainFull(err), t.off(h))
	}
	killpoint("toggle-on")
	err := f()
	killpoint("toggle-tool-ran")
	return errors.Join(err, t.off(h))
}

// on puts the copy into the place of login.defs.
func (t LoginDefsToggle) on(h *Host) error {
	if t.DropIn != "" {
		return t.addDropIn(h)
	}
	files, err := toggleFilesOf(h)
	if err != nil {
		return err
	}
	if err := writable(h, "/etc", host.LoginDefsPath); err != nil {
		return err
	}
	f, err := os.Open(files.live)
	if err != nil {
		return err
	}
	defer f.Close()
	original, err := look(files.live)
	if err != nil {
		return err
	}
	if original.sum != t.SHA256 || original.inode != t.Inode {
		return fmt.Errorf("%s: somebody changed it just now; try again", files.live)
	}
	d, err := host.ParseLoginDefs(host.LoginDefsPath, original.content)
	if err != nil {
		return err
	}
	if err := writeLike(files.beside, d.With(userGroups, "yes"), f); err != nil {
		return err
	}
	killpoint("toggle-copied")
	if err := files.exchange(); err != nil {
		return err
	}
	return durable.SyncDirectory(filepath.Dir(files.live))
}

// off puts the original back. It may be called in any state that an interruption can leave, and again. Where somebody changed
// login.defs in between, their edit stays and only our line goes back.
func (t LoginDefsToggle) off(h *Host) error {
	if t.DropIn != "" {
		return t.removeDropIn(h)
	}
	if t.Inode == 0 {
		return nil
	}
	files, err := toggleFilesOf(h)
	if err != nil {
		return err
	}
	if err := files.settle(); err != nil {
		return err
	}
	for range 5 { // somebody may edit just now; nobody edits five times in a row
		again, err := t.back(files)
		if err != nil {
			return err
		}
		if !again {
			killpoint("toggle-back")
			return files.clean()
		}
	}
	return fmt.Errorf("%s: changes all the time; the original is %s", files.live, files.beside)
}

// back brings the original to its place, if it is not there. again means that the file changed meanwhile.
func (t LoginDefsToggle) back(files toggleFiles) (again bool, err error) {
	beside, err := look(files.beside)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	live, err := look(files.live)
	if errors.Is(err, fs.ErrNotExist) && beside.sum == t.SHA256 {
		return false, unix.Renameat2(unix.AT_FDCWD, files.beside, unix.AT_FDCWD, files.live, unix.RENAME_NOREPLACE)
	}
	if err != nil {
		return false, err
	}
	switch {
	case beside.sum != t.SHA256: // the copy, or part of one
		if live.sum == t.Copy {
			return false, fmt.Errorf("%s: should be the original of %s (SHA-256 %s), and is not", files.beside, files.live, t.SHA256)
		}
		return false, nil
	case live.inode == t.Inode: // an exchange that was undone
		return false, nil
	case live.sum == t.Copy || live.sum == t.SHA256:
		return t.exchangeBack(files, live)
	}
	return files.merge(live, beside)
}

// exchangeBack is the way back if nobody touched the copy. The exchange shows afterwards whether that was so.
func (t LoginDefsToggle) exchangeBack(files toggleFiles, expected looked) (again bool, err error) {
	if err := files.exchange(); err != nil {
		return false, err
	}
	if was, err := look(files.beside); err == nil && was.sum != expected.sum {
		return true, files.exchange()
	}
	return false, durable.SyncDirectory(filepath.Dir(files.live))
}

// merge keeps an edit of somebody else's and takes back our line only, if it is still ours.
func (f toggleFiles) merge(live, original looked) (again bool, err error) {
	before, err := host.ParseLoginDefs(f.beside, original.content)
	if err != nil {
		return false, err
	}
	now, err := host.ParseLoginDefs(f.live, live.content)
	if err != nil {
		return false, err
	}
	if v, _, _ := now.Value(userGroups); v != "yes" {
		return false, nil
	}
	like, err := os.Open(f.live)
	if err != nil {
		return false, err
	}
	defer like.Close()
	if err := writeLike(f.merged, now.Revert(userGroups, before), like); err != nil {
		return false, explainFull(err)
	}
	killpoint("toggle-merged")
	if latest, err := look(f.live); err != nil || latest.sum != live.sum {
		return true, err
	}
	if err := os.Rename(f.merged, f.live); err != nil {
		return false, err
	}
	return false, durable.SyncDirectory(filepath.Dir(f.live))
}

// clean removes what is left beside login.defs.
func (f toggleFiles) clean() error {
	_, err := durable.Remove(f.merged)
	_, err2 := durable.Remove(f.beside)
	return errors.Join(err, err2)
}

// renameExchange swaps two names at once.
var renameExchange = func(a, b string) error {
	return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
}

// exchange swaps login.defs and the file beside it. File systems and kernels that cannot (EINVAL: NFS, older overlayfs; ENOSYS:
// before 3.15) get three steps, of which the middle one replaces login.defs at once; settle finishes them if interrupted.
func (f toggleFiles) exchange() error {
	err := renameExchange(f.live, f.beside)
	if err == nil {
		killpoint("toggle-exchanged")
		return nil
	}
	if !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOSYS) && !errors.Is(err, syscall.ENOTSUP) {
		return &os.LinkError{Op: "exchange", Old: f.live, New: f.beside, Err: err}
	}
	if linkErr := os.Link(f.live, f.kept); linkErr != nil {
		return fmt.Errorf("the file system of %s can neither exchange two files (%w) nor give one a second name: %w", f.live, err, linkErr)
	}
	killpoint("toggle-linked")
	if err := os.Rename(f.beside, f.live); err != nil {
		return errors.Join(err, os.Remove(f.kept))
	}
	killpoint("toggle-renamed")
	return os.Rename(f.kept, f.beside)
}

// settle finishes or takes back an exchange in three steps that was interrupted.
func (f toggleFiles) settle() error {
	if _, err := os.Lstat(f.kept); err != nil {
		return ignoreNotExist(err)
	}
	if _, err := os.Lstat(f.beside); errors.Is(err, fs.ErrNotExist) {
		return os.Rename(f.kept, f.beside)
	}
	return os.Remove(f.kept) // only a second name of login.defs
}

func ignoreNotExist(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// looked is a file as it was found.
type looked struct {
	inode   uint64
	content []byte
	sum     string
}

func look(path string) (looked, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return looked{}, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return looked{}, err
	}
	if !fi.Mode().IsRegular() || fi.Size() > maxLookedAt {
		return looked{}, fmt.Errorf("%s: a regular file of at most %d bytes expected, %s of %d bytes found", path, maxLookedAt, fi.Mode().Type(), fi.Size())
	}
	var b bytes.Buffer
	if _, err := b.ReadFrom(f); err != nil {
		return looked{}, err
	}
	return looked{fi.Sys().(*syscall.Stat_t).Ino, b.Bytes(), sum(b.Bytes())}, nil
}

// maxLookedAt bounds a login.defs, in bytes.
const maxLookedAt = 1 << 20

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}
