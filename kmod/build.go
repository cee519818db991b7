package kmod

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/ampconnector/amp/bpf/layout"
	"github.com/ampconnector/amp/internal/durable"
	"github.com/ampconnector/amp/internal/host"
)

// buildPatience is long: two modules take 10 to 20 seconds, on an emulated machine some minutes.
const buildPatience = 8 * time.Minute

// recipe is raised when other modules are made of the same files.
const recipe = 1

// builtDir is where modules that were built here are for a kernel, by its release and a hash of its headers and of our sources: those of another version
// are built anew.
func builtDir(r host.Root, kernel host.Kernel) (string, error) {
	headers := kernel.Headers
	if headers.Err != nil {
		return "", headers.Err
	}
	if why := layout.MissingHeaders(kernel.Release, headers.Value); why != nil {
		return "", why
	}
	key, err := layout.Key(r, headers.Value.Link, recipe, sources)
	return path.Join(BuiltDir, kernel.Release+"-"+key), err
}

// Compile builds the modules in a header tree, and gives their files by name and what the build said. scratch is as layout.Build wants it, and so is
// the error.
func Compile(ctx context.Context, r host.Root, tree, scratch string) (products map[string][]byte, said []byte, err error) {
	return layout.Build(ctx, r, tree, scratch, job())
}

// CompileInside is Compile for a root that is a whole system, not the running one: its own make and compiler do the work, inside it. scratch is in it too.
func CompileInside(ctx context.Context, r host.Root, tree, scratch string) (products map[string][]byte, said []byte, err error) {
	j := job()
	j.Inside = true
	return layout.Build(ctx, r, tree, scratch, j)
}

// job is to build both modules.
func job() layout.Job {
	j := layout.Job{Sources: sources, Target: "modules", Patience: buildPatience}
	for _, m := range modules {
		j.Products = append(j.Products, m.file())
	}
	return j
}

// Made names what Compile makes in a tree, in 16 digits: another version of this room that makes the same of it has the same name.
func Made() string {
	h := sha256.New()
	fmt.Fprintln(h, recipe, sourcesID(sources))
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// build builds the modules in the kernel's header tree and keeps them in dir, and those of other headers, or another version, no more. What the build
// said is kept where it fails. The error is a *layout.Error where headers, compiler or build are the matter.
func build(ctx context.Context, r host.Root, kernel host.Kernel, dir string) error {
	parent, err := r.Path(BuiltDir)
	if err != nil {
		return err
	}
	scratch := filepath.Join(parent, "scratch")
	if err := os.MkdirAll(scratch, 0o755); err != nil {
		return err
	}
	products, said, err := Compile(ctx, r, kernel.Headers.Value.Link, scratch)
	var e *layout.Error
	if errors.As(err, &e) && len(said) > 0 {
		if log := path.Join(BuiltDir, kernel.Release+logTail); os.WriteFile(filepath.Join(parent, path.Base(log)), said, 0o644) == nil {
			e.Log = log
		}
	}
	if err != nil {
		return err
	}
	return errors.Join(dropOthers(r, kernel.Release, dir), putAll(r, dir, products))
}

// putAll is putModules that leaves nothing of some of them.
func putAll(r host.Root, dir string, files map[string][]byte) error {
	err := putModules(r, dir, files)
	if err == nil {
		return nil
	}
	if name, pathErr := r.Path(dir); pathErr == nil {
		err = errors.Join(err, os.RemoveAll(name))
	}
	return err
}

// putModules writes modules into a folder, each whole or not at all.
func putModules(r host.Root, dir string, files map[string][]byte) error {
	to, err := r.Path(dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for name, b := range files {
		if err := durable.Write(filepath.Join(to, name), b, 0o644, nil); err != nil {
			return err
		}
	}
	return nil
}
