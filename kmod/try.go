package kmod

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/ampconnector/amp/internal/durable"
	"github.com/ampconnector/amp/internal/host"
)

// tryLoad loads a module from a file. Where the kernel does not take it the error is a *Refusal, by what the kernel said meanwhile and by what it asks
// of modules.
func (l *loader) tryLoad(module, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	log, logErr := FollowKernelLog() // without it the errno alone tells
	if logErr == nil {
		defer log.Close()
	}
	err = Load(module, f)
	if err == nil {
		return nil
	}
	t := Try{Err: err, Asked: host.ModuleLoadingOf(l.root, host.Read(l.kernel, name)), Loaded: FindLoaded(l.root, l.kernel.Release, module)}
	if l.forbidden != nil {
		t.Forbidden = l.forbidden(name)
	}
	if logErr == nil {
		t.Messages, _ = log.Next() // what was read before an error counts
	}
	info, err := ReadModuleInfo(name, f)
	t.Module = host.Reading[ModuleInfo]{Value: info, From: name, Err: err}
	return Explain(t)
}

// loadSigned tries to load name, and once more with a signature of a key of the host's where the kernel asks for one and trusts that key. The signed
// copy stays at signed, which may be name itself.
func (l *loader) loadSigned(asked func() host.ModuleLoading, name, signed string, try func(name string) error) error {
	err := try(name)
	if refusal := refusalOf(err); refusal == nil || !refusal.Cause.AsksSignature() {
		return err
	}
	now := asked()
	keys, keyErr := FindSigningKeys(l.root, l.named)
	key := PickSigningKey(keys, now)
	if key == nil {
		return errors.Join(err, keyErr)
	}
	if e := EnrolmentOf(key, now); !e.Known() || e.Value != Trusted {
		return err
	}
	if signErr := signFile(name, signed, key, l.kernel.Config.Value[host.OptionModuleHash]); signErr != nil {
		return errors.Join(err, signErr)
	}
	return try(signed)
}

// signFile signs the module at name into to, which may be the same.
func signFile(name, to string, key *SigningKey, hash string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	module, err := io.ReadAll(io.LimitReader(f, maxModule+1))
	if err == nil && len(module) > maxModule {
		err = fmt.Errorf("%w: more than %d bytes", host.ErrTooLarge, maxModule)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	signed, err := Sign(Bare(module), key, hash)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return durable.Write(to, signed, 0o644, nil)
}
