package main

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// buildTime is the time that every file of a package and the package itself carry: SOURCE_DATE_EPOCH
// (reproducible-builds.org/specs/source-date-epoch, seconds since 1970), else the time of the commit that is checked out.
func buildTime(ctx context.Context, getenv func(string) string) (time.Time, error) {
	from, text := "SOURCE_DATE_EPOCH", getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		from = "git log -1 --format=%ct"
		out, err := exec.CommandContext(ctx, "git", "log", "-1", "--format=%ct").Output()
		if err != nil {
			return time.Time{}, fmt.Errorf("%s: %w; outside a git checkout set SOURCE_DATE_EPOCH", from, err)
		}
		text = strings.TrimSpace(string(out))
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < 0 || seconds > 1<<32-1 {
		return time.Time{}, fmt.Errorf("%s: %q is not a number of seconds since 1970 below 2³²", from, text)
	}
	return time.Unix(seconds, 0).UTC(), nil
}
