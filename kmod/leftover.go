package kmod

import (
	"errors"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ampconnector/amp/internal/host"
)

// logTail ends the names of files with what a build said.
const logTail = ".log"

// releaseOf is the release of the kernel that something in BuiltDir is for: its name goes on behind the last dash, as that of a folder with modules,
// or ends as a log's.
func releaseOf(name string) string {
	if release, ok := strings.CutSuffix(name, logTail); ok {
		return release
	}
	return name[:max(0, strings.LastIndexByte(name, '-'))]
}

// dropOthers removes all that is for the kernel but dir: what was built with other headers or sources, what a build said that failed, and copies, which
// are made whenever one is loaded.
func dropOthers(r host.Root, release, dir string) error {
	return drop(r, func(name string) bool { return releaseOf(name) == release && name != path.Base(dir) })
}

// dropGone removes what is for kernels that are not installed any more. The one that is asked for counts as installed, as does one whose modules
// are there.
func dropGone(r host.Root, asked string) error {
	installed := host.InstalledKernels(r)
	if installed.Err != nil {
		return installed.Err
	}
	there := []string{asked, ""}
	for _, k := range installed.Value {
		there = append(there, k.Release)
	}
	return drop(r, func(name string) bool { return !slices.Contains(there, releaseOf(name)) })
}

func drop(r host.Root, old func(name string) bool) error {
	parent, err := r.Path(BuiltDir)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(parent)
	if os.IsNotExist(err) {
		return nil
	}
	for _, e := range entries {
		if old(e.Name()) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(parent, e.Name())))
		}
	}
	return err
}
