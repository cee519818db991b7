package remediate

import (
	"bufio"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
)

// text gives a message in the tool's language.
func (t *Tool) text(m message, args ...any) string { return m.with(args...).In(t.Language) }

// say writes a line for a person: beside the JSON where there is JSON.
func (t *Tool) say(m message, args ...any) {
	w := t.Stdout
	if t.JSON {
		w = t.Stderr
	}
	fmt.Fprintln(w, t.text(m, args...))
}

// complain writes an error.
func (t *Tool) complain(err error) {
	fmt.Fprintf(t.Stderr, "amp-remediate: %s\n", installer.ErrorText(err).In(t.Language))
}

// hostLine says which host was looked at and which connector was found on it.
func (t *Tool) hostLine(f *health.Facts) {
	known := func(s string) any {
		if s == "" {
			return msgNotKnown.with()
		}
		return s
	}
	var connector any = msgNone.with()
	if f.Found {
		connector = f.Connector.Package
	}
	if t.image() {
		t.say(msgImageAt, t.Root)
	}
	t.say(msgHost, known(f.Host.Distribution.Value.Name), known(f.Host.Kernel.Value.Release), connector)
}

// faultLine is the one line of a fault.
func (t *Tool) faultLine(x fault.Finding) {
	entry, _ := fault.Lookup(x.ID)
	fmt.Fprintf(t.Stdout, "ID %-2d  %s  %s  %s: %s%s\n", x.ID, t.padded(severities[x.Severity], len("critical")), t.padded(states[x.State], len("not applicable")),
		entry.Name.In(t.Language), x.Reason.In(t.Language), t.consequence(x))
}

// padded fills a word up to a width in columns; a Japanese character takes two.
func (t *Tool) padded(m message, width int) string {
	word := t.text(m)
	columns := 0
	for _, r := range word {
		columns++
		if r >= 0x1100 {
			columns++
		}
	}
	return word + strings.Repeat(" ", max(0, width-columns))
}

func (t *Tool) consequence(x fault.Finding) string {
	if x.Cause == 0 {
		return ""
	}
	return " (" + t.text(msgBecause, x.Cause) + ")"
}

// evidence shows all that the diagnosis rests on.
func (t *Tool) evidence(x fault.Finding) {
	if len(x.Evidence) == 0 {
		return
	}
	fmt.Fprintf(t.Stdout, "  %s\n", t.text(msgEvidence))
	for _, e := range x.Evidence {
		e = e.In(t.Language)
		fmt.Fprintf(t.Stdout, "    %s: %s  [%s]\n", e.What, e.Read, e.From)
		if e.Expected != "" {
			fmt.Fprintf(t.Stdout, "      %s\n", t.text(msgExpected, e.Expected))
		}
	}
}

// hint ends a check with the command to type, where a remedy exists.
func (t *Tool) hint(matters []*matter) {
	var ids []fault.ID
	for _, m := range matters {
		if m.finding.State == fault.Raised && remedies[m.finding.ID].plan != nil {
			ids = append(ids, m.finding.ID)
		}
	}
	if len(ids) == 0 || t.image() {
		return
	}
	var numbers []string
	for _, id := range causesFirst(ids) {
		numbers = append(numbers, strconv.Itoa(int(id)))
	}
	t.say(msgMend, strings.Join(numbers, " "))
}

// show prints diagnosis and plan of each fault.
func (r *run) show() {
	for _, m := range r.matters {
		r.faultLine(m.finding)
		entry, _ := fault.Lookup(m.finding.ID)
		if !entry.Judged {
			continue
		}
		r.evidence(m.finding)
		r.showPlan(m.plan)
	}
}

// showPlan lists the steps with what a person could type instead; what only a person can do comes last, in exact words.
func (t *Tool) showPlan(p plan) {
	manual := false
	for i, result := range p.results {
		if result.Item.Step == nil {
			if !manual {
				fmt.Fprintf(t.Stdout, "  %s\n", t.text(msgByHand))
			}
			manual = true
			t.showManual(result.Item)
			continue
		}
		if i == 0 {
			fmt.Fprintf(t.Stdout, "  %s\n", t.text(msgPlan))
		}
		t.showStep(i+1, result)
	}
}

func (t *Tool) showManual(item installer.Item) {
	fmt.Fprintf(t.Stdout, "    %s\n", item.Manual.In(t.Language))
	if len(item.Packages) > 0 {
		fmt.Fprintf(t.Stdout, "         %s\n", t.text(msgPackages, strings.Join(item.Packages, " ")))
	}
	for _, command := range item.Commands {
		fmt.Fprintf(t.Stdout, "         # %s\n", command)
	}
}

func (t *Tool) showStep(n int, r installer.Result) {
	note := ""
	if r.Outcome == installer.Skipped {
		note = " (" + t.text(outcomes["skipped"]) + ")"
	}
	fmt.Fprintf(t.Stdout, "    %d. %s%s\n", n, r.Item.Step.Title().In(t.Language), note)
	if len(r.Item.Packages) > 0 {
		fmt.Fprintf(t.Stdout, "         %s\n", t.text(msgPackages, strings.Join(r.Item.Packages, " ")))
	}
	if r.Outcome == installer.Skipped {
		return
	}
	for _, command := range r.Item.Step.Commands() {
		fmt.Fprintf(t.Stdout, "         # %s\n", command)
	}
}

// confirm asks a person; anything but yes is no, and so is an interruption.
func (r *run) confirm(ctx context.Context) bool {
	fmt.Fprint(r.Stderr, r.text(msgProceed))
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(r.Stdin).ReadString('\n')
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(r.Stderr)
		return false
	case line := <-answer:
		return line == "y" || line == "yes" || line == "はい"
	}
}
