// Command licences lists the licences of the modules that are linked into the programs, and fails on one that is not
// known to fit Apache-2.0 programs.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"text/tabwriter"
)

// fits are the SPDX identifiers of licences whose code may be linked into Apache-2.0 programs.
var fits = map[string]bool{
	"Apache-2.0": true, "MIT": true, "BSD-2-Clause": true, "BSD-3-Clause": true, "ISC": true, "MPL-2.0": true,
}

// phrases tell a licence by words that stand in no other of the list. A file that has none of them is not guessed at.
var phrases = []struct{ id, words string }{
	{"Apache-2.0", "apache license version 2.0, january 2004"},
	{"MIT", "permission is hereby granted, free of charge, to any person obtaining a copy"},
	{"BSD-3-Clause", "may be used to endorse or promote products derived from this software"},
	{"BSD-2-Clause", "redistributions in binary form must reproduce the above copyright notice"},
	{"ISC", "permission to use, copy, modify, and/or distribute this software for any purpose"},
	{"MPL-2.0", "mozilla public license version 2.0"},
	{"GPL", "gnu general public license"},
	{"LGPL", "gnu lesser general public license"},
}

// recognise returns the licences whose words stand in text.
func recognise(text string) []string {
	text = strings.ToLower(strings.Join(strings.Fields(text), " "))
	text = strings.ReplaceAll(text, "license, version", "license version") // both are in use
	var ids []string
	for _, p := range phrases {
		if strings.Contains(text, p.words) {
			ids = append(ids, p.id)
		}
	}
	drop := func(present string, implied ...string) {
		if slices.Contains(ids, present) {
			ids = slices.DeleteFunc(ids, func(id string) bool { return slices.Contains(implied, id) })
		}
	}
	drop("BSD-3-Clause", "BSD-2-Clause") // has the two-clause words too
	drop("MPL-2.0", "GPL", "LGPL")       // its text names them as secondary licences
	return ids
}

type module struct{ Path, Version, Dir string }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "licences:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer) error {
	mods, err := linked(ctx, "./cmd/...")
	if err != nil {
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	var bad []error
	for _, m := range mods {
		ids, err := identify(m)
		if err != nil {
			bad = append(bad, err)
			continue
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\n", m.Path, m.Version, strings.Join(ids, " and "))
		for _, id := range ids {
			if !fits[id] {
				bad = append(bad, fmt.Errorf("%s: licence %s is not in the list of those that fit", m.Path, id))
			}
		}
	}
	return errors.Join(append(bad, tw.Flush())...)
}

// linked returns the modules, but the main one, whose packages are built into the programs that patterns name.
func linked(ctx context.Context, patterns ...string) ([]module, error) {
	args := append([]string{"list", "-deps", "-json=Module"}, patterns...)
	out, err := exec.CommandContext(ctx, "go", args...).Output()
	if err != nil {
		var e *exec.ExitError
		if errors.As(err, &e) {
			return nil, fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, e.Stderr)
		}
		return nil, fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	seen := map[string]module{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			Module *struct {
				module
				Main bool
			}
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		if p.Module != nil && !p.Module.Main {
			seen[p.Module.Path] = p.Module.module
		}
	}
	mods := make([]module, 0, len(seen))
	for _, m := range seen {
		mods = append(mods, m)
	}
	sort.Slice(mods, func(i, j int) bool { return mods[i].Path < mods[j].Path })
	return mods, nil
}

// identify returns the SPDX identifiers of the licence files at a module's top.
func identify(m module) ([]string, error) {
	var files []string
	for _, p := range []string{"LICEN[CS]E*", "COPYING*", "licen[cs]e*"} {
		f, err := filepath.Glob(filepath.Join(m.Dir, p))
		if err != nil {
			return nil, err
		}
		files = append(files, f...)
	}
	ids := map[string]bool{}
	for _, f := range files {
		if st, err := os.Stat(f); err != nil || !st.Mode().IsRegular() {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		for _, id := range recognise(string(text)) {
			ids[id] = true
		}
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("%s: no licence recognised in %q", m.Path, files)
	}
	list := make([]string, 0, len(ids))
	for id := range ids {
		list = append(list, id)
	}
	sort.Strings(list)
	return list, nil
}
