package remediate

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/ampconnector/amp/installer"
)

// progress shows the steps of a plan as they are done: a line each, and on a terminal a mark that moves while one takes its time.
type progress struct {
	tool *Tool
	w    io.Writer
	bar  *progressbar.ProgressBar
}

func newProgress(t *Tool) *progress {
	w := t.Stdout
	if t.JSON {
		w = t.Stderr
	}
	return &progress{tool: t, w: w}
}

// begin and end are called by the engine, which counts from 0.
func (p *progress) begin(n, of int, item installer.Item) {
	if item.Step == nil || !p.tool.Progress {
		return
	}
	p.bar = progressbar.NewOptions(-1,
		progressbar.OptionSetWriter(p.tool.Stderr),
		progressbar.OptionSetDescription(fmt.Sprintf("[%d/%d] %s", n+1, of, item.Step.Title().In(p.tool.Language))),
		progressbar.OptionSpinnerType(14),
		progressbar.OptionClearOnFinish(),
	)
}

func (p *progress) end(n, of int, r installer.Result) {
	p.stop()
	if r.Item.Step == nil {
		return
	}
	fmt.Fprintf(p.w, "[%d/%d] %s: %s (%s)\n", n+1, of, r.Item.Step.Title().In(p.tool.Language), p.tool.text(outcomes[string(r.Outcome)]), r.Took.Round(time.Millisecond))
	if teller, ok := r.Item.Step.(installer.Teller); ok && r.Outcome == installer.Done {
		fmt.Fprintln(p.w, teller.Told().In(p.tool.Language))
	}
}

// stop takes the moving mark away, also after a step that did not end.
func (p *progress) stop() {
	if p.bar != nil {
		p.bar.Finish()
		p.bar = nil
	}
}
