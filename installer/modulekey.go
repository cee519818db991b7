package installer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ampconnector/amp/internal/durable"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/kmod"
)

// ModuleKey is the step that makes a key for kernel modules, where the host has none. Root alone may read it.
type ModuleKey struct {
	Began bool // for Undo: neither file was there
}

func init() { register(func() Step { return new(ModuleKey) }) }

// Kind implements Step.
func (*ModuleKey) Kind() string { return "module-key" }

// Title implements Step.
func (*ModuleKey) Title() fault.Text {
	return fault.Text{EN: "make a key that signs this host's kernel modules and nothing else (%s)", JA: "このホストのカーネルモジュール専用の署名鍵の作成 (%s)"}.With(kmod.OwnKeyFile)
}

// Commands implements Step: openssl(1) makes the same with an extension file of its own, which is no single command.
func (*ModuleKey) Commands() []string { return nil }

// Needed implements Step. A key of another program's that cannot be used is as none.
func (*ModuleKey) Needed(_ context.Context, h *Host) (bool, error) {
	keys, _ := kmod.FindSigningKeys(h.Root, kmod.KeyFiles{})
	return len(keys) == 0, nil
}

// Prepare implements Step.
func (s *ModuleKey) Prepare(_ context.Context, h *Host) error {
	for _, name := range []string{kmod.OwnKeyFile, kmod.OwnCertificateFile} {
		if _, err := h.Root.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is there, and is no key of ours: %w", name, errors.Join(fs.ErrExist, err))
		}
	}
	s.Began = true
	return nil
}

// Apply implements Step. The certificate comes last: a key without one counts for nothing.
func (s *ModuleKey) Apply(_ context.Context, h *Host) error {
	dir, err := h.Root.Path(kmod.OwnKeyFolder)
	if err != nil {
		return err
	}
	if err := errors.Join(os.MkdirAll(dir, 0o700), durable.SyncDirectory(filepath.Dir(dir))); err != nil {
		return err
	}
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	key, certificate, err := kmod.MakeSigningKey(name, h.Now())
	if err != nil {
		return err
	}
	if err := durable.Write(filepath.Join(dir, filepath.Base(kmod.OwnKeyFile)), key, 0o600, nil); err != nil {
		return err
	}
	killpoint("module-key-written")
	return durable.Write(filepath.Join(dir, filepath.Base(kmod.OwnCertificateFile)), certificate, 0o644, nil)
}

// Undo implements Step. The folder stays if there is anything else in it.
func (s *ModuleKey) Undo(_ context.Context, h *Host) error {
	if !s.Began {
		return nil
	}
	for _, name := range []string{kmod.OwnCertificateFile, kmod.OwnKeyFile, kmod.OwnKeyFolder} {
		path, err := h.Root.Path(name)
		if err != nil {
			return err
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) && name != kmod.OwnKeyFolder {
			return err
		}
	}
	return nil
}
