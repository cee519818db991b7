package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ampconnector/amp/vagrant/bench"
	"github.com/ampconnector/amp/vagrant/lab"
)

// scansFlags are those of the subcommand.
type scansFlags struct {
	*flags
	sides    []string
	write    string
	baseline string
	document string
	renew    bool
	draw     bool
}

func scansCommand(f *flags) *cobra.Command {
	s := scansFlags{flags: f}
	c := &cobra.Command{Use: "scans", Args: cobra.NoArgs, Short: "Measure what scans cost, beside ClamAV's own daemon, in a guest that counts instructions",
		Long: "Measure what scans cost, beside ClamAV's own daemon with the same definitions, a boot of " + bench.ScanGuest + " each, a guest that counts\n" +
			"instructions. Results go below --out: scans.json, scans.md, and SIDE.log with all that a guest said.",
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case s.write != "":
				return bench.WriteDefinitions(s.write)
			case s.draw:
				r, err := bench.ReadScans(s.baseline)
				if err != nil {
					return err
				}
				return r.WriteInto(s.document)
			}
			return s.measureAll(c.Context())
		}}
	c.Flags().StringSliceVar(&s.sides, "side", bench.ScanSides, "sides to measure; the other keeps what the last run wrote")
	c.Flags().StringVar(&s.write, "write", "", "write the definitions into this directory, and measure nothing")
	c.Flags().StringVar(&s.baseline, "baseline", "docs/benchmarks-scans.json", "file that --renew writes and --draw reads")
	c.Flags().StringVar(&s.document, "document", "docs/benchmarks.md", "file with the table, for --renew and --draw")
	c.Flags().BoolVar(&s.renew, "renew", false, "write baseline and document anew")
	c.Flags().BoolVar(&s.draw, "draw", false, "measure nothing: write the table anew from the baseline")
	c.MarkFlagsMutuallyExclusive("draw", "renew", "write")
	return c
}

// measureAll measures one side after the other. What a boot said is kept, so that a later run can measure one side alone.
func (s *scansFlags) measureAll(ctx context.Context) error {
	for _, side := range s.sides {
		if !slices.Contains(bench.ScanSides, side) {
			return fmt.Errorf("no side %q is known, expected one of %s", side, strings.Join(bench.ScanSides, ", "))
		}
		if err := s.measure(ctx, side); err != nil {
			return fmt.Errorf("measure %s: %w", side, err)
		}
	}
	return s.report()
}

// measure boots the guest for one side.
func (s *scansFlags) measure(ctx context.Context, side string) error {
	img, p, err := s.prepare(ctx, bench.ScanGuest)
	if err != nil {
		return err
	}
	dir, err := s.scratch(bench.ScanGuest, "scans-"+side)
	if err != nil {
		return err
	}
	if err := scanFiles(p, dir); err != nil {
		return err
	}
	p.Run = "exec bash /media/amplab/scan.sh " + side + " 2>&1\n"
	log := s.log(side)
	out, err := os.Create(log + ".new")
	if err != nil {
		return err
	}
	defer out.Close()
	fmt.Fprintf(os.Stderr, "measuring %s; output: %s.new, console: %s/serial.log\n", side, log, dir)
	status, err := lab.Boot(ctx, img, p, dir, out)
	if err != nil {
		return err
	}
	if status != 0 {
		return fmt.Errorf("%w: exit status %d; output: %s", errScript, status, out.Name())
	}
	return os.Rename(out.Name(), log)
}

// log is where what the guest said of a side is kept.
func (s *scansFlags) log(side string) string {
	return filepath.Join(s.out, bench.ScanGuest, side+".log")
}

// scanFiles adds to the payload what scan.sh needs.
func scanFiles(p lab.Payload, scratch string) error {
	definitions := filepath.Join(scratch, "definitions")
	if err := os.Mkdir(definitions, 0o755); err != nil {
		return err
	}
	if err := bench.WriteDefinitions(definitions); err != nil {
		return err
	}
	for _, dir := range []struct{ from, to string }{
		{definitions, "definitions/"}, {filepath.Join(benchDir, "compile"), "compile/"}, {filepath.Join(benchDir, "load"), ""},
	} {
		entries, err := os.ReadDir(dir.from)
		if err != nil {
			return err
		}
		for _, e := range entries {
			p.Files[dir.to+e.Name()] = filepath.Join(dir.from, e.Name())
		}
	}
	p.Files["scan.sh"] = filepath.Join(benchDir, "scan.sh")
	return nil
}

// report makes one result of the logs that are there. Its date is that of the youngest.
func (s *scansFlags) report() error {
	var said bytes.Buffer
	var date string
	for _, side := range bench.ScanSides {
		b, err := os.ReadFile(s.log(side))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		info, err := os.Stat(s.log(side))
		if err != nil {
			return err
		}
		said.Write(b)
		date = max(date, info.ModTime().UTC().Format(time.DateOnly))
	}
	r, err := bench.ParseScans(&said)
	if err != nil {
		return err
	}
	r.Date = date
	table, dir := r.Markdown(), filepath.Join(s.out, bench.ScanGuest)
	if _, err := io.WriteString(os.Stdout, table); err != nil {
		return err
	}
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "scans.md"), []byte(table), 0o644), r.Write(filepath.Join(dir, "scans.json"))); err != nil {
		return err
	}
	if !s.renew {
		return nil
	}
	return errors.Join(r.Write(s.baseline), r.WriteInto(s.document))
}
