package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/ampconnector/amp/cmd/internal/cmdline"
	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/terminal"
)

// scanPeriod is how often the daemon is asked how far it is; at first more often, since a tree that did not change is done in no time.
const (
	firstScanPeriod = 10 * time.Millisecond
	scanPeriod      = 200 * time.Millisecond
)

const scanHelp = `Let the daemon scan files, and folders with all below them, through its scan service. A symbolic
link that is named is followed, those below a folder are not; devices, pipes and sockets are passed
over. Other file systems are scanned only with --cross-file-systems. A file that did not change since
it was scanned last is not scanned again. Root only, since the daemon may read what others may not.
What is larger than the policy allows is scanned in part or not at all; the summary says of how many
files that is so, and the exit code does not.

Exit codes: 0 nothing was found; 1 something was found; 2 some files could not be scanned, or the
scan did not begin, or not end; 4 only root may do this.`

// Errors that are told by the exit status of a scan. The output has said so, but of errUnended.
var (
	errFound   = fault.Errorf(fault.Text{EN: "something was found", JA: "検出されたファイルがあります"})
	errPartial = fault.Errorf(fault.Text{EN: "not all could be scanned", JA: "スキャンできなかったファイルがあります"})
	errUnended = fault.Errorf(fault.Text{EN: "the scan was not completed", JA: "スキャンを完了できませんでした"})
)

// unended says that it is not known what a scan comes to, which whoever reads the exit status must not take for something that was found.
func unended(err error) error {
	switch {
	case err == nil, errors.Is(err, fs.ErrPermission):
		return err
	case errors.Is(err, control.ErrDenied):
		return of(fs.ErrPermission, err)
	}
	return of(errUnended, err)
}

// untold is unended for an error of the output, of whose broken pipe nothing is said.
func untold(err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return of(errPartial, err)
	}
	return unended(err)
}

func (c *command) scan() *cobra.Command {
	var cross bool
	s := &cobra.Command{
		Use: "scan PATH…", Short: "Scan files and folders (root only)", Long: scanHelp, Args: cmdline.Arguments(1, math.MaxInt),
		RunE: func(r *cobra.Command, args []string) error { return c.scanPaths(r.Context(), args, cross) },
	}
	s.Flags().BoolVar(&cross, "cross-file-systems", false, "scan what is mounted below the folders too")
	return s
}

// scanPaths begins a scan and follows it to its end.
func (c *command) scanPaths(ctx context.Context, args []string, cross bool) error {
	if os.Geteuid() != 0 {
		return forRoot("scan files", "ファイルのスキャン")
	}
	paths, err := absolute(args)
	if err != nil {
		return err
	}
	run, err := c.askScan(ctx, control.StartScan, control.ScanRequest{Paths: paths, CrossFileSystems: cross})
	if err != nil {
		return err
	}
	run, err = c.followScan(ctx, run)
	return errors.Join(err, untold(c.summary(run)), outcome(run))
}

// absolute makes the paths independent of this process's directory. What is not there is said, all of it, before anything is begun.
func absolute(args []string) ([]string, error) {
	paths := make([]string, len(args))
	var errs []error
	for i, a := range args {
		p, err := filepath.Abs(a)
		if err == nil {
			_, err = os.Lstat(p)
		}
		if err != nil {
			errs = append(errs, err)
		}
		paths[i] = p
	}
	if len(errs) > 0 {
		return nil, of(errUsage, errors.Join(errs...))
	}
	return paths, nil
}

func (c *command) askScan(ctx context.Context, verb control.Verb, r control.ScanRequest) (control.ScanRun, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	a, err := control.Ask(ctx, c.socket, control.Request{Verb: verb, Scan: &r})
	if err != nil {
		return control.ScanRun{}, unended(err)
	}
	return *a.Scan, nil
}

// followScan shows what is found while the scan goes on. If ctx ends, the scan is ended too.
func (c *command) followScan(ctx context.Context, run control.ScanRun) (control.ScanRun, error) {
	bar := c.progressBar()
	defer bar.Finish()
	found := []control.ScanFinding{}
	for period := firstScanPeriod; ; period = min(2*period, scanPeriod) {
		for _, f := range run.Findings {
			if err := c.finding(bar, f); err != nil {
				return run, untold(err)
			}
		}
		found = append(found, run.Findings...)
		bar.Describe(progressLine(run))
		_ = bar.Set64(int64(run.Files))
		if run.Done && len(run.Findings) == 0 {
			run.Findings = found
			return run, nil
		}
		if !run.Done {
			select {
			case <-ctx.Done():
				return c.stopScan(run, found)
			case <-time.After(period):
			}
		}
		next, err := c.askScan(ctx, control.FollowScan, control.ScanRequest{ID: run.ID, After: len(found)})
		if ctx.Err() != nil {
			return c.stopScan(run, found)
		}
		if err != nil {
			run.Findings = found
			return run, err
		}
		run = next
	}
}

// stopScan ends a scan that the user interrupted.
func (c *command) stopScan(run control.ScanRun, found []control.ScanFinding) (control.ScanRun, error) {
	last, err := c.askScan(context.Background(), control.StopScan, control.ScanRequest{ID: run.ID, After: len(found)})
	if err != nil {
		last = run
	}
	last.Findings = found
	return last, errors.Join(err, of(errPartial, worded("interrupted", "中断されました")))
}

// progressBar is drawn on a terminal only.
func (c *command) progressBar() *progressbar.ProgressBar {
	return progressbar.NewOptions64(-1, progressbar.OptionSetWriter(c.progressWriter()), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
		progressbar.OptionSetItsString("files"), progressbar.OptionThrottle(scanPeriod), progressbar.OptionClearOnFinish())
}

func progressLine(run control.ScanRun) string {
	const widest = 48
	current := []rune(terminal.Line(run.Current))
	if len(current) > widest {
		current = append([]rune("…"), current[len(current)-widest+1:]...)
	}
	return fmt.Sprintf("%-*s", widest, string(current))
}

// finding shows one file, as clamscan(1) does.
func (c *command) finding(bar *progressbar.ProgressBar, f control.ScanFinding) error {
	if c.output == "json" {
		return nil
	}
	_ = bar.Clear()
	text := fmt.Sprintf("%s: %s FOUND\n", word(f.Path), word(f.Name))
	switch {
	case f.Error != "":
		text = fmt.Sprintf("%s: %s ERROR\n", word(f.Path), terminal.Line(f.Error))
	case f.Quarantined != "":
		text = fmt.Sprintf("%s: %s FOUND, in quarantine as %s\n", word(f.Path), word(f.Name), word(f.Quarantined))
	case f.LeftAlone != "":
		text = fmt.Sprintf("%s: %s FOUND, could not be quarantined: %s\n", word(f.Path), word(f.Name), terminal.Line(f.LeftAlone))
	}
	_, err := io.WriteString(c.out, text)
	return err
}

func (c *command) summary(run control.ScanRun) error {
	if c.output == "json" {
		return c.json(run)
	}
	took := max(run.Took, time.Millisecond)
	if run.Error != "" {
		if err := c.say(fault.Text{EN: "The scan ended before its end: %s", JA: "スキャンが途中で終了しました: %s"}.With(terminal.Line(run.Error))); err != nil {
			return err
		}
	}
	if run.Untold > 0 {
		if err := c.say(fault.Text{
			EN: "%d more files are not listed: more was found or could not be scanned than the daemon keeps. ampcli detections has all that was found.",
			JA: "ほかに %d 個のファイルは一覧にありません。検出またはスキャン不可の件数が、デーモンの保持できる数を超えました。検出はすべて ampcli detections で確認できます。",
		}.With(run.Untold)); err != nil {
			return err
		}
	}
	if err := c.say(fault.Text{
		EN: "Scanned %d files in %d folders (%.1f MiB, %d of them known already) in %v: %d found (%d of them quarantined), %d could not be scanned, %d skipped.",
		JA: "%d 個のファイル、%d 個のフォルダーをスキャンしました (%.1f MiB、既知 %d 個、所要時間 %v): 検出 %d 件 (うち隔離 %d 件)、スキャン不可 %d 件、スキップ %d 件。",
	}.With(run.Files, run.Folders, float64(run.Bytes)/(1<<20), run.Known, took.Round(time.Millisecond), run.Found, run.Quarantined, run.Failures, run.Skipped)); err != nil || run.Limited == 0 {
		return err
	}
	return c.say(fault.Text{
		EN: "%d of these files were scanned in part, or not at all: they, or what they unpack to, are larger than the policy allows, or take too long.",
		JA: "うち %d 個のファイルは、ファイル自体または展開後の内容がポリシーの上限を超えるか、時間がかかりすぎるため、一部のみスキャンしたか、スキャンしていません。",
	}.With(run.Limited))
}

func outcome(run control.ScanRun) error {
	switch {
	case run.Found > 0:
		return errFound
	case run.Failures > 0 || run.Error != "":
		return errPartial
	}
	return nil
}
