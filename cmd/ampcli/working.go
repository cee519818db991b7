package main

import (
	"io"
	"os"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/ampconnector/amp/internal/fault"
)

// progressWriter is where progress is drawn: on a terminal, and beside text only.
func (c *command) progressWriter() io.Writer {
	if c.output == "text" && term.IsTerminal(int(os.Stderr.Fd())) {
		return os.Stderr
	}
	return io.Discard
}

// working shows that something takes its time, until the returned function is called.
func (c *command) working(on fault.Text) (done func()) {
	bar := progressbar.NewOptions(-1, progressbar.OptionSetWriter(c.progressWriter()), progressbar.OptionSetDescription(on.In(c.language)),
		progressbar.OptionSpinnerType(14), progressbar.OptionSetElapsedTime(true), progressbar.OptionClearOnFinish())
	return func() { _ = bar.Finish() }
}
