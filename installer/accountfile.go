package installer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/ampconnector/amp/internal/durable"
	"github.com/ampconnector/amp/internal/host"
)

// accountField is one field of an entry of passwd(5) or group(5).
type accountField struct {
	file string // host.PasswdPath or host.GroupPath
	name string // entry
	n    int    // field, from 0
}

var errNoEntry = errors.New("no such entry")

// read returns the field's value.
func (f accountField) read(h *Host) (string, error) {
	b, err := h.Root.ReadFile(f.file, maxAccountFile)
	if err != nil {
		return "", err
	}
	_, fields, err := f.line(b)
	if err != nil {
		return "", err
	}
	return fields[f.n], nil
}

// line finds the first entry of the name, which is the one that counts, and its place in the file.
func (f accountField) line(b []byte) (start int, fields []string, err error) {
	for raw := range bytes.Lines(b) {
		line := strings.TrimSuffix(string(raw), "\n")
		if strings.HasPrefix(line, f.name+":") {
			fields = strings.Split(line, ":")
			if len(fields) <= f.n {
				return 0, nil, fmt.Errorf("%s: entry %s: %d fields, more than %d expected", f.file, f.name, len(fields), f.n)
			}
			return start, fields, nil
		}
		start += len(raw)
	}
	return 0, nil, fmt.Errorf("%s: entry %s: %w", f.file, f.name, errNoEntry)
}

// replaced is the file with the field set to value; every other byte stays.
func (f accountField) replaced(b []byte, value string) ([]byte, error) {
	start, fields, err := f.line(b)
	if err != nil {
		return nil, err
	}
	end := start + len(strings.Join(fields, ":"))
	fields[f.n] = value
	return bytes.Join([][]byte{b[:start], []byte(strings.Join(fields, ":")), b[end:]}, nil), nil
}

// write sets the field as an account tool would: under the locks that they take, and by a new file in the place of the old one.
// It is for ids. usermod(8) refuses to change a uid while any process runs under it, which is always so for uid 0, and changes the
// owner of all that it finds below the home, which may be "/"; groupmod(8) would take root's primary group along.
func (f accountField) write(ctx context.Context, h *Host, value string) error {
	if now, err := f.read(h); err != nil || now == value { // undoing nothing has to work on a read-only disk, too
		return err
	}
	err := rewriteAccountFile(ctx, h, f.file, func(b []byte) ([]byte, error) { return f.replaced(b, value) })
	if err == nil {
		h.Log.InfoContext(ctx, "changed", "file", f.file, "entry", f.name, "field", f.n+1, "value", value)
	}
	return err
}

// restore sets the field back, and removes what an interrupted write left beside the file.
func (f accountField) restore(ctx context.Context, h *Host, value string) error {
	if err := f.write(ctx, h, value); err != nil {
		return err
	}
	return clearPart(h, f.file)
}

// rewriteAccountFile changes one of the account files under the locks that account tools take.
func rewriteAccountFile(ctx context.Context, h *Host, file string, change func([]byte) ([]byte, error)) error {
	if err := accountsWritable(ctx, h); err != nil {
		return err
	}
	unlock, err := lockAccountFile(h, file)
	if err != nil {
		return err
	}
	defer unlock()
	path, err := h.Root.Path(file)
	if err != nil {
		return err
	}
	old, err := os.Open(path)
	if err != nil {
		return err
	}
	defer old.Close()
	b, err := h.Root.ReadFile(file, maxAccountFile)
	if err != nil {
		return err
	}
	changed, err := change(b)
	if err != nil || bytes.Equal(changed, b) {
		return err
	}
	if err := writeLike(path+"+", changed, old); err != nil { // shadow's own name for it
		return explainFull(err)
	}
	killpoint("account-file-written")
	if err := os.Rename(path+"+", path); err != nil {
		return err
	}
	killpoint("account-file-renamed")
	return durable.SyncDirectory(filepath.Dir(path))
}

// command is what a person types for write: vipw(8) takes the locks, and sed(1) is its editor.
func (f accountField) command(value string) string {
	editor := "vipw"
	if f.file == host.GroupPath {
		editor = "vigr"
	}
	return fmt.Sprintf(`EDITOR="sed -i -E 's|^(%s(:[^:]*){%d}):[^:]*|\1:%s|'" %s`, f.name, f.n-1, value, editor)
}

// lockAccountFile takes lckpwdf(3)'s lock and shadow's own one of a file. Should this program be killed, the latter names a dead
// process, and shadow removes it.
func lockAccountFile(h *Host, file string) (unlock func(), err error) {
	release, err := lckpwdf(h)
	if err != nil {
		return nil, err
	}
	path, err := h.Root.Path(file)
	if err == nil {
		err = linkLock(path)
	}
	if err != nil {
		release()
		return nil, err
	}
	return func() { os.Remove(path + ".lock"); release() }, nil
}

// linkLock makes file.lock from a file that holds the process id already, as commonio.c does.
func linkLock(file string) error {
	own := file + "." + strconv.Itoa(os.Getpid())
	if err := durable.WriteNew(own, append([]byte(strconv.Itoa(os.Getpid())), 0), 0o600); err != nil {
		return explainFull(err)
	}
	defer os.Remove(own)
	err := os.Link(own, file+".lock")
	if errors.Is(err, syscall.EEXIST) { // held ones were waited for: what is there is a dead process's
		if err := os.Remove(file + ".lock"); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		err = os.Link(own, file+".lock")
	}
	return err
}
