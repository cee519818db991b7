package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/ampconnector/amp/internal/monitor"
)

// eventLine is one event for a person, on one line. What a line of the log cannot be read as is shown as it stands.
func eventLine(line []byte) string {
	r, err := monitor.ParseLine(line)
	if err != nil {
		return "? " + word(string(line))
	}
	p := r.Process
	head := r.Time.In(time.Local).Format("2006-01-02 15:04:05.000")
	who := fmt.Sprintf("pid %d uid %s parent %d (%s)", p.PID, uids(p), p.PPID, word(p.Parent))
	if r.Kind == monitor.Exit {
		return fmt.Sprintf("%s exit %s %s: %s", head, who, word(p.Comm), ending(r.Event))
	}
	return fmt.Sprintf("%s exec %s %s: %s", head, who, word(r.Path), words(r.Event))
}

// uids shows the effective user too where it differs.
func uids(p monitor.Process) string {
	if p.EUID == p.UID {
		return strconv.FormatUint(uint64(p.UID), 10)
	}
	return fmt.Sprintf("%d (effective %d)", p.UID, p.EUID)
}

func ending(e monitor.Event) string {
	if e.Signal != 0 {
		return fmt.Sprintf("signal %d", e.Signal)
	}
	return fmt.Sprintf("status %d", e.ExitCode)
}

func words(e monitor.Event) string {
	quoted := make([]string, len(e.Args), len(e.Args)+1)
	for i, a := range e.Args {
		quoted[i] = word(a)
	}
	if e.ArgsTruncated {
		quoted = append(quoted, "…")
	}
	return strings.Join(quoted, " ")
}

// word is a text as it is, or quoted where its end could not be seen or it could drive the terminal.
func word(s string) string {
	odd := strings.IndexFunc(s, func(r rune) bool {
		return r == ' ' || r == '"' || r == '\\' || r == unicode.ReplacementChar || !unicode.IsPrint(r)
	})
	if s == "" || odd >= 0 {
		return strconv.Quote(s)
	}
	return s
}
