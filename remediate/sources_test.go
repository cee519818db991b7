package remediate

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/health/choicetest"
)

// docs/sources.md has the recorded hosts, with what is chosen for them, what is wrong with them and what is planned against that.
func TestDocumentOfSources(t *testing.T) {
	var b strings.Builder
	b.WriteString("| host | event source | because | faults | `amp-remediate` | seen |\n|---|---|---|---|---|---|\n")
	for _, h := range choicetest.Hosts {
		source := "`" + string(h.Source) + "`"
		if h.Instead != "" {
			source += ", which cannot be opened: `" + string(h.Instead) + "`"
		}
		seen := h.Recorded
		if h.Guest != "" {
			seen = "guest, [" + h.Guest + "](../vagrant/guest/testdata/" + h.Guest + ".txtar)"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", h.Name, source, h.Reason, faultsOf(h), plansOf(t, &h), seen)
	}
	generated(t, "sources.md", b.String())
}

// faultsOf are those that are not clear, in words.
func faultsOf(h choicetest.Host) string {
	var words []string
	for _, finding := range h.Findings {
		switch {
		case finding.State == fault.Raised && finding.Cause != 0:
			words = append(words, fmt.Sprintf("**%d** %s, because of %d", finding.ID, finding.Severity, finding.Cause))
		case finding.State == fault.Raised:
			words = append(words, fmt.Sprintf("**%d** %s", finding.ID, finding.Severity))
		case finding.State == fault.Unknown:
			words = append(words, fmt.Sprintf("%d unknown", finding.ID))
		}
	}
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, "; ")
}

// plansOf are the plans against the raised faults of a host, as another program than the daemon makes them: what steps do, and the first words of what a
// person has to do. Plans that are the same are told once.
func plansOf(t *testing.T, h *choicetest.Host) string {
	t.Helper()
	var told []string
	ids := map[string]string{}
	for _, id := range causesFirst(h.Raised()) {
		f := h.Facts(false)
		finding, _ := health.CheckOne(f, id)
		p, err := Plan(f, finding)
		if err != nil || len(p.Items) == 0 {
			t.Errorf("%s: fault %d is %s, and its plan has %d items: %v", h.Name, id, finding.State, len(p.Items), err)
		}
		if finding.Cause != 0 {
			continue
		}
		what := inBrief(p.Items)
		if ids[what] == "" {
			told = append(told, what)
			ids[what] = fmt.Sprint(id)
		} else {
			ids[what] += fmt.Sprintf(", %d", id)
		}
	}
	for i, what := range told {
		told[i] = ids[what] + ": " + what
	}
	return strings.Join(told, ". ")
}

func inBrief(items []installer.Item) string {
	var steps, manual []string
	for _, item := range items {
		if item.Step != nil {
			steps = append(steps, item.Step.Title().EN)
			continue
		}
		first := item.Manual.EN
		for _, end := range []string{". ", ": ", " ("} {
			first, _, _ = strings.Cut(first, end)
		}
		manual = append(manual, strings.ToLower(first[:1])+strings.TrimSuffix(first[1:], "."))
	}
	if len(manual) > 0 {
		steps = append(steps, "by hand: "+strings.Join(manual, "; "))
	}
	return strings.Join(steps, "; ")
}
