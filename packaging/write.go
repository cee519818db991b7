package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb" // registers "deb"
	_ "github.com/goreleaser/nfpm/v2/rpm" // registers "rpm"
)

// write makes every asked-for package and returns the names of the files that it wrote, also those before an error.
func write(ctx context.Context, o options, getenv func(string) string) (written []string, err error) {
	at, err := buildTime(ctx, getenv)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Out, 0o755); err != nil {
		return nil, err
	}
	for _, arch := range o.Archs {
		names, err := writeArch(ctx, o, arch, at)
		written = append(written, names...)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// writeArch makes the packages of one architecture from one build of the programs.
func writeArch(ctx context.Context, o options, arch string, at time.Time) (written []string, err error) {
	scratch, err := os.MkdirTemp("", "packaging-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(scratch)

	bin := filepath.Join(o.Binaries, arch)
	if o.Binaries == "" {
		bin = filepath.Join(scratch, "bin")
		if err := compile(ctx, o.Version, arch, bin); err != nil {
			return nil, err
		}
	}
	for _, name := range o.Names {
		for _, format := range o.Formats {
			if err := ctx.Err(); err != nil {
				return written, err
			}
			stage := filepath.Join(scratch, name+"-"+format)
			file, err := writeOne(specs[name], o, stage, bin, format, arch, at)
			if err != nil {
				return written, fmt.Errorf("%s, %s, %s: %w", name, format, arch, err)
			}
			written = append(written, file)
		}
	}
	return written, nil
}

// writeOne makes one package. It appears under its name only when it is whole.
func writeOne(s spec, o options, stage, bin, format, arch string, at time.Time) (string, error) {
	if err := s.fill(stage, bin, o.Version, at); err != nil {
		return "", err
	}
	packager, err := nfpm.Get(format)
	if err != nil {
		return "", err
	}
	info := s.info(o, stage, format, arch, at)
	name := filepath.Join(o.Out, packager.ConventionalFileName(info))
	f, err := os.CreateTemp(o.Out, ".packaging-")
	if err != nil {
		return "", err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := packager.Package(info, f); err != nil {
		return "", err
	}
	if err := f.Chmod(0o644); err != nil {
		return "", err
	}
	if err := f.Close(); err != nil {
		return "", err
	}
	return name, os.Rename(f.Name(), name)
}
