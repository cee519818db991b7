package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Bounds of UnitJournal.
const (
	journalLines    = 4096
	journalPatience = 20 * time.Second
)

// ErrNoJournal says that a host keeps no journal of units: it does not run systemd, or has no journalctl(1).
var ErrNoJournal = errors.New("no journal of systemd here")

// UnitJournal is what the journal of the running host has of a unit: the last lines of it, up to a MiB.
func UnitJournal(ctx context.Context, r Root, unit string) Reading[[]byte] {
	return unitJournal(ctx, questions{r, func(ctx context.Context, r Root, tool string, args ...string) ([]byte, int, error) {
		output, beside, status, err := askWhy(ctx, r, journalPatience, nil, tool, args...)
		if err == nil && (status != 0 || len(output) == 0) && len(beside) > 0 {
			err = fmt.Errorf("journalctl: %s", bytes.TrimSpace(beside))
		}
		return output, status, err
	}}, unit)
}

func unitJournal(ctx context.Context, q questions, unit string) Reading[[]byte] {
	from := "journalctl -u " + unit
	_, found := FindTool(q.Root, "journalctl")
	switch {
	case !q.Live():
		return NotKnown[[]byte](from, ErrNotRunning)
	case !found:
		return NotKnown[[]byte](from, ErrNoJournal)
	}
	// An answer that is too long lacks its end, and the end is what matters.
	for lines := journalLines; ; lines /= 2 {
		output, status, err := q.ask(ctx, q.Root, "journalctl", "--no-pager", "--quiet", "--output=short-iso", "--lines="+strconv.Itoa(lines), "--unit="+unit)
		switch {
		case err != nil:
			return NotKnown[[]byte](from, err)
		case status != 0:
			return NotKnown[[]byte](from, fmt.Errorf("journalctl: exit status %d", status))
		case len(output) < maxAnswer || lines == 1:
			return Read(output, from)
		}
	}
}
