package remediate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
)

const (
	busyMinutes  = 5                // that are looked back
	busyPrograms = 8                // that are looked at
	seldom       = 0.05             // events of a kind a second, below which it is not shown beside others
	busyWait     = 10 * time.Second // for the connector's answer
	ownersWait   = 45 * time.Second // for the package databases: the machine is busy
)

// overloadLimits are those that the connector decides by.
var overloadLimits = monitor.DefaultOverloadLimits

// busyProgram is one of the busiest, with the package that vouches for it.
type busyProgram struct {
	control.TopProgram
	Owner host.Reading[host.PackageOwner]
}

// Why no package can be asked.
var (
	errNoPath  = message{"its path could not be found out", "パスを特定できません"}
	errReplace = message{"the file at its path is another one than is executed", "そのパスにあるファイルは、実行中のものとは異なります"}
	errWindow  = message{"the connector does not tell the last %d minutes", "コネクタが直近 %d 分間の値を提供していません"}
)

// lookAtBusy finds out who makes the events, adds it to the evidence, and gives what a person can do.
func (r *run) lookAtBusy(ctx context.Context, m *matter) []installer.Item {
	from := control.Socket
	window, err := r.busyWindow(ctx)
	if err != nil {
		r.busy = []fault.Evidence{fault.NewEvidence(busiestWords, fault.Text{EN: "not known: %v", JA: "不明: %v"}.With(installer.ErrorText(err)), from, fault.Text{})}
		m.finding.Evidence = append(m.finding.Evidence, r.busy...)
		return overloadByHand(r.facts, nil)
	}
	programs := r.vouch(ctx, window.Programs[:min(len(window.Programs), busyPrograms)])
	r.busy = nil
	for i, p := range programs {
		what := fault.Text{EN: "busiest program %d of the last %d minutes", JA: "直近 %[2]d 分間に活発なプログラム %[1]d"}.With(i+1, busyMinutes)
		r.busy = append(r.busy, fault.NewEvidence(what, p.words(), from, fault.Text{}))
	}
	if len(programs) == 0 {
		r.busy = append(r.busy, fault.NewEvidence(busiestWords, fault.Text{EN: "nothing was measured yet", JA: "まだ測定値がありません"}, from, fault.Text{}))
	}
	m.finding.Evidence = append(m.finding.Evidence, r.busy...)
	return overloadByHand(r.facts, programs)
}

var busiestWords = fault.Text{EN: "busiest programs", JA: "活発なプログラム"}

func (r *run) busyWindow(ctx context.Context) (control.TopWindow, error) {
	ctx, cancel := context.WithTimeout(ctx, busyWait)
	defer cancel()
	top, err := r.hands.busiest(ctx)
	if err != nil {
		return control.TopWindow{}, err
	}
	i := slices.IndexFunc(top.Windows, func(w control.TopWindow) bool { return w.Minutes == busyMinutes })
	if i < 0 {
		return control.TopWindow{}, errWindow.wrong(busyMinutes)
	}
	return top.Windows[i], nil
}

// vouch asks for each program which package has it.
func (r *run) vouch(ctx context.Context, programs []control.TopProgram) []busyProgram {
	ctx, cancel := context.WithTimeout(ctx, ownersWait)
	defer cancel()
	busy := make([]busyProgram, len(programs))
	for i, p := range programs {
		busy[i] = busyProgram{TopProgram: p, Owner: r.ownerOf(ctx, p)}
	}
	return busy
}

// ownerOf asks about the file that is executed, and not about one that has its path by now: one that was replaced or deleted, or lies in
// a container.
func (r *run) ownerOf(ctx context.Context, p control.TopProgram) host.Reading[host.PackageOwner] {
	if !filepath.IsAbs(p.Exe) {
		return host.NotKnown[host.PackageOwner](p.Exe, errNoPath.wrong())
	}
	if r.hands.Owner == nil {
		fi, err := os.Stat(p.Exe)
		if err != nil {
			return host.NotKnown[host.PackageOwner](p.Exe, err)
		}
		if st, ok := fi.Sys().(*syscall.Stat_t); ok && p.Inode != 0 && st.Ino != p.Inode {
			return host.NotKnown[host.PackageOwner](p.Exe, errReplace.wrong())
		}
	}
	return r.hands.owner(ctx, p.Exe)
}

// trusted programs may be offered for exclusion: a package has them, and nothing speaks against their content.
func (p busyProgram) trusted() bool {
	o := p.Owner
	changed := o.Value.Matches.Known() && !o.Value.Matches.Value
	return o.Known() && o.Value.Package != "" && !changed
}

// odd programs stand out: no package has them, or they were changed.
func (p busyProgram) odd() bool {
	return !p.trusted() && (p.Owner.Known() || errors.Is(p.Owner.Err, os.ErrNotExist))
}

// name is the path, else the comm.
func (p busyProgram) name() string {
	if p.Exe == "" {
		return "(" + quoted(p.Comm) + ")"
	}
	return quoted(p.Exe)
}

// vouched says which package has the program and whether it is as that brought it: yes, no or not known.
func (p busyProgram) vouched() fault.Text {
	o := p.Owner
	switch {
	case !o.Known():
		return fault.Text{EN: "package not known: %s", JA: "パッケージ不明: %s"}.With(installer.ErrorText(o.Err))
	case o.Value.Package == "":
		return fault.Text{EN: "no package has it", JA: "どのパッケージにも属さない"}
	case !o.Value.Matches.Known():
		return fault.Text{EN: "package %s, not known whether unchanged: %s", JA: "パッケージ %s、変更の有無は不明: %s"}.With(o.Value.Package, installer.ErrorText(o.Value.Matches.Err))
	case o.Value.Matches.Value:
		return fault.Text{EN: "package %s, unchanged", JA: "パッケージ %s、変更なし"}.With(o.Value.Package)
	}
	return fault.Text{EN: "package %s, CHANGED", JA: "パッケージ %s、変更あり"}.With(o.Value.Package)
}

// words are all that is known of a program, on a line.
func (p busyProgram) words() fault.Text {
	parent := fault.Text{EN: "not known", JA: "不明"}
	if p.Parent != "" {
		parent = fault.Verbatim(quoted(p.Parent))
	}
	var kinds []string
	for _, k := range p.Kinds {
		if len(kinds) == 0 || k.Rate >= seldom {
			kinds = append(kinds, fmt.Sprintf("%s %.1f", quoted(k.Kind), k.Rate))
		}
	}
	return fault.Text{
		EN: "%s, user %s, %d processes (the busiest is %d), parent %s; %s; %.1f events a second: %s",
		JA: "%s、ユーザー %s、プロセス数 %d (最も活発なもの: %d)、親 %s。%s。1 秒あたり %.1f 件: %s",
	}.With(p.name(), userName(p.UID), p.Processes, p.PID, parent, p.vouched(), p.Rate, strings.Join(kinds, ", "))
}

// quoted keeps what a host calls its files from driving the terminal.
func quoted(s string) string {
	odd := func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }
	if strings.ContainsFunc(s, odd) {
		return strconv.Quote(s)
	}
	return s
}

func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return quoted(u.Username)
	}
	return id
}

func processors() int { return runtime.NumCPU() }
