package installer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/ampconnector/amp/internal/durable"
	"github.com/ampconnector/amp/internal/host"
)

// userGroupsDropIn is read after all drop-ins whose names are of ASCII letters and digits.
const userGroupsDropIn = host.LoginDefsDropIns + "/~cisco-amp.defs"

// recordDropIn looks at what login.defs and its drop-ins say. It changes nothing.
func recordDropIn(h *Host) (LoginDefsToggle, error) {
	defs := host.LoginSettingsOf(h.Root)
	if defs.Err != nil && !errors.Is(defs.Err, fs.ErrNotExist) || defs.Value.Bool(userGroups) {
		return LoginDefsToggle{}, defs.Err
	}
	_, err := h.Root.Stat(host.LoginDefsDropIns)
	return LoginDefsToggle{DropIn: userGroupsDropIn, Folder: errors.Is(err, fs.ErrNotExist)}, nil
}

func (t LoginDefsToggle) dropInPath(h *Host) (string, error) {
	dir, err := h.Root.Path(filepath.Dir(t.DropIn))
	return filepath.Join(dir, filepath.Base(t.DropIn)), err
}

// addDropIn makes the drop-in, and its folder where there is none, and looks whether it decides.
func (t LoginDefsToggle) addDropIn(h *Host) error {
	path, err := t.dropInPath(h)
	if err != nil {
		return err
	}
	if err := writable(h, "/etc", filepath.Dir(t.DropIn)); err != nil {
		return err
	}
	if t.Folder {
		if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		killpoint("drop-in-folder")
	}
	if err := durable.Write(path, []byte(userGroups+" yes\n"), 0o644, killpoint); err != nil {
		return err
	}
	killpoint("drop-in-made")
	defs := host.LoginSettingsOf(h.Root)
	if s, _ := defs.Value.Get(userGroups); s.File != t.DropIn {
		return errors.Join(fmt.Errorf("%s: %s cannot be toggled: %q of %s, line %d, is read later", path, userGroups, s.Value, s.File, s.Line), defs.Err)
	}
	return nil
}

// removeDropIn takes the drop-in away, and its folder if that was made for it and nobody else uses it. It may be called again.
func (t LoginDefsToggle) removeDropIn(h *Host) error {
	path, err := t.dropInPath(h)
	if err != nil {
		return err
	}
	_, err = durable.Remove(path + durable.NewSuffix)
	_, err2 := durable.Remove(path)
	if err := errors.Join(err, err2); err != nil || !t.Folder {
		return err
	}
	killpoint("drop-in-gone")
	_, err = durable.Remove(filepath.Dir(path))
	if errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EEXIST) {
		return nil
	}
	return err
}
