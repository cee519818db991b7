package remediate

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/ampconnector/amp/internal/fault"
)

// Explain tells what a fault is, how it is detected and what the remedy does. It looks at no host.
func (t *Tool) Explain(id fault.ID) int {
	if t.JSON {
		return t.usage(errExplainJSON.wrong())
	}
	entry, _ := fault.Lookup(id)
	fmt.Fprintf(t.Stdout, "ID %d (%s): %s\n", id, t.text(severities[entry.Severity]), entry.Name.In(t.Language))
	if !entry.Judged {
		fmt.Fprintf(t.Stdout, "%s\n", t.text(msgUnbuilt))
	}
	t.section(msgMeaning, entry.Meaning.In(t.Language))
	if len(entry.CausedBy) > 0 {
		t.section(msgCausedBy, "", join(entry.CausedBy))
	}
	t.section(msgDetection, entry.Detection.In(t.Language))
	var sources []string
	for _, source := range remedies[id].sources {
		sources = append(sources, "- "+source.In(t.Language))
	}
	t.section(msgSources, strings.Join(sources, "\n  "))
	t.section(msgRemedy, entry.Remedy.In(t.Language))
	t.section(msgCommands, "# "+strings.Join(remedies[id].commands, "\n  # "))
	return ExitGone
}

func (t *Tool) section(title message, body string, args ...any) {
	fmt.Fprintf(t.Stdout, "\n%s\n", t.text(title, args...))
	if body != "" {
		fmt.Fprintf(t.Stdout, "  %s\n", body)
	}
}

func join(ids []fault.ID) string {
	var numbers []string
	for _, id := range ids {
		numbers = append(numbers, strconv.Itoa(int(id)))
	}
	return strings.Join(numbers, ", ")
}
