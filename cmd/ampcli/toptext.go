package main

import (
	"fmt"
	"os/user"
	"strconv"
	"time"
	"unicode"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
)

// topLimits are how many of each are shown.
type topLimits struct{ programs, processes, files, peers int }

var plainLimits = topLimits{control.MaxTopPrograms, control.MaxTopProcesses, control.MaxTopFiles, control.MaxTopPeers}

// limitsFor shares the rows of a screen out: two are the head's, and each of the four parts has a title and an empty line before it.
func limitsFor(rows int) topLimits {
	room := max(rows-2-4*2, 0)
	l := topLimits{programs: room / 3, files: room / 6, peers: room / 6}
	l.processes = room - l.programs - l.files - l.peers
	return l
}

// Words of the busiest.
var (
	topHead      = fault.Text{EN: "%s events a second over %s (the last %d min asked for)   source %s   load %s   %s", JA: "1 秒あたり %s 件、直近 %s (指定 %d 分)   ソース %s   負荷 %s   %s"}
	topNotYet    = fault.Text{EN: "Nothing was measured yet; the first figures come within half a minute after the start.", JA: "まだ測定値がありません。開始後 30 秒以内に最初の値が得られます。"}
	topPrivate   = fault.Text{EN: "Files and peers are shown to root only.", JA: "ファイルと通信相手は root にのみ表示されます。"}
	topPrograms  = fault.Text{EN: "   PER S  PROCESSES  USER      PROGRAM, its parent, and what it does", JA: "   毎秒   プロセス数  ユーザー  プログラム、親、動作"}
	topProcesses = fault.Text{EN: "   PER S        PID  USER      PROCESS, its parent, and what it does", JA: "   毎秒          PID  ユーザー  プロセス、親、動作"}
	topFiles     = fault.Text{EN: "  EVENTS  FILE", JA: "イベント  ファイル"}
	topPeers     = fault.Text{EN: "   FLOWS       BYTES  PEER", JA: "  フロー    バイト数  通信相手"}
	topBy        = fault.Text{EN: "by %s", JA: "親 %s"}
)

var levelWords = map[string]fault.Text{
	"normal": {EN: "normal", JA: "通常"}, "reduced": {EN: "reduced", JA: "縮小"}, "critical": {EN: "critical", JA: "重大"},
}

// topLines shows the busiest of a window.
func (c *command) topLines(top *control.Top, w control.TopWindow, limits topLimits) []string {
	level, ok := levelWords[top.Level]
	if !ok {
		level = fault.Verbatim(word(top.Level))
	}
	covered := (time.Duration(w.Covered) * time.Second).String()
	lines := []string{topHead.With(perSecond(w.Rate), covered, w.Minutes, word(top.Source), level, top.Time.In(time.Local).Format(time.TimeOnly)).In(c.language)}
	if w.Covered == 0 {
		lines = append(lines, topNotYet.In(c.language))
	}
	lines = append(lines, c.programLines(w.Programs[:min(len(w.Programs), limits.programs)])...)
	lines = append(lines, c.processLines(w.Processes[:min(len(w.Processes), limits.processes)])...)
	if top.Private {
		return append(lines, "", topPrivate.In(c.language))
	}
	lines = append(lines, c.fileLines(w.Files[:min(len(w.Files), limits.files)])...)
	return append(lines, c.peerLines(w.Peers[:min(len(w.Peers), limits.peers)])...)
}

func (c *command) programLines(programs []control.TopProgram) []string {
	lines := []string{"", topPrograms.In(c.language)}
	for _, p := range programs {
		lines = append(lines, fmt.Sprintf("%8s  %9d  %-8s  %s", perSecond(p.Rate), p.Processes, userName(p.UID), c.doing(p.Exe, p.Comm, p.Parent, p.Kinds)))
	}
	return lines
}

func (c *command) processLines(processes []control.TopProcess) []string {
	lines := []string{"", topProcesses.In(c.language)}
	for _, p := range processes {
		lines = append(lines, fmt.Sprintf("%8s  %9d  %-8s  %s", perSecond(p.Rate), p.PID, userName(p.UID), c.doing(p.Exe, p.Comm, p.Parent, p.Kinds)))
	}
	return lines
}

// seldom is the rate of a kind, in events a second, below which it is not shown beside others.
const seldom = 0.05

// doing is who it is, by whom, and what it does.
func (c *command) doing(exe, comm, parent string, kinds []control.KindRate) string {
	text := word(exe)
	if exe == "" {
		text = "(" + word(comm) + ")"
	}
	if parent != "" {
		text += ", " + topBy.With(word(parent)).In(c.language)
	}
	for i, k := range kinds {
		if i > 0 && k.Rate < seldom {
			break // those that follow are rarer still
		}
		separator := ", "
		if i == 0 {
			separator = ": "
		}
		text += separator + word(k.Kind) + " " + perSecond(k.Rate)
	}
	return text
}

func (c *command) fileLines(files []control.TopFile) []string {
	lines := []string{"", topFiles.In(c.language)}
	for _, f := range files {
		lines = append(lines, fmt.Sprintf("%8s  %s", atMost(f.Events, f.AtLeast), word(f.Path)))
	}
	return lines
}

func (c *command) peerLines(peers []control.TopPeer) []string {
	lines := []string{"", topPeers.In(c.language)}
	for _, p := range peers {
		arrow := "->"
		if p.Inbound {
			arrow = "<-"
		}
		lines = append(lines, fmt.Sprintf("%8s  %10d  %s %s %s", atMost(p.Flows, p.AtLeast), p.Bytes, arrow, word(p.Address), word(fmt.Sprint(p.Protocol, "/", p.Port))))
	}
	return lines
}

// atMost is a count; one that is not exact is marked.
func atMost(most, least uint64) string {
	if least < most {
		return "≤" + strconv.FormatUint(most, 10)
	}
	return strconv.FormatUint(most, 10)
}

// perSecond is a rate, with a decimal where it is small.
func perSecond(rate float64) string {
	if rate < 9.95 { // what is more would be told as 10.0
		return strconv.FormatFloat(rate, 'f', 1, 64)
	}
	return strconv.FormatFloat(rate, 'f', 0, 64)
}

// userName is a user's name where this host has one.
func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return word(u.Username)
	}
	return id
}

// clipped is as much of a line as fits into so many columns.
func clipped(line string, columns int) string {
	used := 0
	for i, r := range line {
		used += columnsOf(r)
		if used > columns {
			return line[:i]
		}
	}
	return line
}

// columnsOf is how many columns of a terminal a printable character takes (Unicode, UAX #11, without the ambiguous ones).
func columnsOf(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case r < 0x1100:
		return 1
	case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul), r >= 0x3000 && r <= 0x303e, r >= 0xff01 && r <= 0xff60,
		r == 'ー', r >= 0x1f300 && r <= 0x1faff:
		return 2
	}
	return 1
}
