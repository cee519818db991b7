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
	"time"

	"github.com/spf13/cobra"

	"github.com/ampconnector/amp/vagrant/bench"
	"github.com/ampconnector/amp/vagrant/lab"
)

// benchDir is the folder with what runs in the guest.
const benchDir = "vagrant/bench"

// errRegression says that our own cost grew; the lines before it say where.
var errRegression = errors.New("the connector's own cost grew")

// benchFlags are those of the subcommand.
type benchFlags struct {
	*flags
	monitors []string
	baseline string
	document string
	renew    bool
	draw     bool
}

func benchCommand(f *flags) *cobra.Command {
	b := benchFlags{flags: f}
	c := &cobra.Command{Use: "bench", Args: cobra.NoArgs, Short: "Measure what monitors cost, each in a guest that counts instructions, and compare with the baseline",
		Long: "Measure what monitors cost, each in a boot of its own of " + bench.Guest + ", a guest that counts instructions. Results go below --out: bench.json,\n" +
			"bench.md with its charts, and NAME.log with all that a guest said. It exits 1 if the connector's own added cost is more than 3 % above the baseline.",
		RunE: func(c *cobra.Command, _ []string) error {
			if b.draw {
				return b.redraw()
			}
			return b.bench(c.Context())
		}}
	c.Flags().StringSliceVar(&b.monitors, "monitor", nil, "monitors to measure (default: all); others keep what the last run wrote")
	c.Flags().StringVar(&b.baseline, "baseline", "docs/benchmarks.json", "file with the figures to compare with")
	c.Flags().StringVar(&b.document, "document", "docs/benchmarks.md", "file with the tables, for --renew and --draw; charts are written beside it")
	c.Flags().BoolVar(&b.renew, "renew", false, "write baseline and document anew in place of comparing; monitors that were not measured keep their figures")
	c.Flags().BoolVar(&b.draw, "draw", false, "measure nothing: write tables and charts anew from the baseline")
	c.MarkFlagsMutuallyExclusive("draw", "renew")
	c.MarkFlagsMutuallyExclusive("draw", "monitor")
	return c
}

// redraw writes what people read anew from the baseline, for a change of how it looks.
func (f *benchFlags) redraw() error {
	baseline, err := bench.ReadResult(f.baseline)
	if err != nil {
		return err
	}
	return baseline.WriteInto(f.document)
}

// bench measures one monitor after the other. What a boot said is kept, so that a later run can measure one monitor alone.
func (f *benchFlags) bench(ctx context.Context) error {
	dir := filepath.Join(f.out, bench.Guest)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	names := f.monitors
	if len(names) == 0 {
		for _, m := range bench.Monitors {
			names = append(names, m.Name)
		}
	}
	for _, name := range names {
		if _, ok := bench.MonitorNamed(name); !ok {
			return fmt.Errorf("no monitor %q is known", name)
		}
		if err := f.measure(ctx, name, filepath.Join(dir, name+".log")); err != nil {
			return fmt.Errorf("measure %s: %w", name, err)
		}
	}
	result, err := collect(dir)
	if err != nil {
		return err
	}
	return f.report(result, dir)
}

// measure boots the guest for one monitor; its output goes to log.
func (f *benchFlags) measure(ctx context.Context, name, log string) error {
	img, p, err := f.prepare(ctx, bench.Guest)
	if err != nil {
		return err
	}
	dir, err := f.scratch(bench.Guest, "bench-"+name)
	if err != nil {
		return err
	}
	if err := benchFiles(p, name, dir); err != nil {
		return err
	}
	p.Run = "exec bash /media/amplab/run.sh 2>&1\n"
	out, err := os.Create(log + ".new")
	if err != nil {
		return err
	}
	defer out.Close()
	fmt.Fprintf(os.Stderr, "measuring %s; output: %s.new, console: %s/serial.log\n", name, log, dir)
	start := time.Now()
	status, err := lab.Boot(ctx, img, p, dir, out)
	if err != nil {
		return err
	}
	if status != 0 {
		return fmt.Errorf("%w: exit status %d; output: %s", errScript, status, out.Name())
	}
	fmt.Fprintf(os.Stderr, "measured %s in %s\n", name, time.Since(start).Round(time.Second))
	return os.Rename(out.Name(), log)
}

// benchFiles adds to the payload what run.sh needs.
func benchFiles(p lab.Payload, name, scratch string) error {
	sizes := filepath.Join(scratch, "sizes.sh")
	if err := os.WriteFile(sizes, []byte(bench.Sizes()), 0o644); err != nil {
		return err
	}
	p.Files["sizes.sh"] = sizes
	p.Files["load.c"] = filepath.Join(benchDir, "load", "load.c")
	p.Files["run.sh"] = filepath.Join(benchDir, "run.sh")
	p.Files["monitor.sh"] = filepath.Join(benchDir, "monitors", name+".sh")
	p.Files["amp.sh"] = filepath.Join(benchDir, "monitors", bench.Own+".sh") // on which the connector by another source stands
	return filepath.WalkDir(filepath.Join(benchDir, "compile"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			p.Files["compile/"+d.Name()] = path
		}
		return err
	})
}

// collect makes one result of the logs that are there. Its date is that of the youngest.
func collect(dir string) (bench.Result, error) {
	var r bench.Result
	for _, m := range bench.Monitors {
		path := filepath.Join(dir, m.Name+".log")
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return r, err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return r, err
		}
		run, err := bench.Parse(m.Name, bytes.NewReader(b))
		if err != nil {
			return r, err
		}
		if err := r.Add(run); err != nil {
			return r, err
		}
		r.Date = max(r.Date, info.ModTime().UTC().Format(time.DateOnly))
	}
	return r, nil
}

// keep takes the figures of monitors of which there is no log from the baseline, if there is one.
func (f *benchFlags) keep(result *bench.Result) error {
	baseline, err := bench.ReadResult(f.baseline)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return result.Keep(baseline)
}

// report writes the result, and compares with the baseline or renews it.
func (f *benchFlags) report(result bench.Result, dir string) error {
	if err := result.Write(filepath.Join(dir, "bench.json")); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "bench.md"), []byte(result.Markdown()), 0o644); err != nil {
		return err
	}
	if err := result.WritePlots(dir); err != nil {
		return err
	}
	if _, err := io.WriteString(os.Stdout, result.Markdown()); err != nil {
		return err
	}
	if f.renew {
		if err := f.keep(&result); err != nil {
			return err
		}
		return errors.Join(result.Write(f.baseline), result.WriteInto(f.document))
	}
	baseline, err := bench.ReadResult(f.baseline)
	if err != nil {
		return err
	}
	regressions := bench.Regressions(baseline, result)
	for _, line := range regressions {
		fmt.Fprintln(os.Stderr, line)
	}
	if len(regressions) > 0 {
		return errRegression
	}
	return nil
}
