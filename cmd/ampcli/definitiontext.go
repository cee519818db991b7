package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/scan/definitions"
	"github.com/ampconnector/amp/internal/terminal"
)

// definitionText writes about definitions for a person. What the engine and the checks read and expected is in English, as it is recorded.
type definitionText struct{ *command }

var definitionWords = map[string]fault.Text{
	"live":        {EN: "Live:      %s", JA: "有効: %s"},
	"built-in":    {EN: "built-in only (%s, %d files); for more, fill %s with freshclam or cvdupdate, or: ampcli definitions import DIR", JA: "組み込みのみ(%s、%d ファイル)。追加するには freshclam または cvdupdate で %s を用意するか、ampcli definitions import DIR を実行してください"},
	"set":         {EN: "%s, taken in %s from %s, %d signatures (engine %s)", JA: "%s、%s に %s から取り込み、シグネチャ %d 件(エンジン %s)"},
	"previous":    {EN: "Previous:  %s", JA: "以前: %s"},
	"none":        {EN: "none", JA: "なし"},
	"package":     {EN: "Built-in:  %s, %d files in %s", JA: "組み込み: %s、%d ファイル(%s)"},
	"container":   {EN: "version %d, %d signatures, built %s, %s", JA: "バージョン %d、シグネチャ %d 件、作成 %s、%s"},
	"incoming":    {EN: "Incoming:  %d files, %s", JA: "受け入れ待ち: %d ファイル、%s"},
	"new":         {EN: "not taken in", JA: "未取り込み"},
	"known":       {EN: "taken in", JA: "取り込み済み"},
	"unfinished":  {EN: "being written still", JA: "書き込み中"},
	"aside":       {EN: "Set aside:", JA: "除外済み:"},
	"whole set":   {EN: "a whole set", JA: "セット全体"},
	"missed":      {EN: "; it had passed the checks and was live", JA: "。検査を通過して有効になっていました"},
	"kept":        {EN: "; kept in %s", JA: "。保管先: %s"},
	"is live":     {EN: "Live now: set %s, %d files.", JA: "有効になりました: セット %s、%d ファイル"},
	"was live":    {EN: "Live already: set %s.", JA: "すでに有効です: セット %s"},
	"left out":    {EN: "Left out: %s", JA: "取り込まれませんでした: %s"},
	"earlier":     {EN: "In their place, as the set before has them: %s", JA: "代わりに以前のセットのものを使用: %s"},
	"passed":      {EN: "passed", JA: "合格"},
	"failed":      {EN: "FAILED", JA: "不合格"},
	"not judged":  {EN: "not judged", JA: "判定なし"},
	"expected":    {EN: ", expected %s", JA: "、期待される値 %s"},
	"all":         {EN: "all files", JA: "全ファイル"},
	"other files": {EN: "Not definitions, or of no database here: %s", JA: "定義ファイルではない、または対応するデータベースがないもの: %s"},
}

// stepWords name the checks.
var stepWords = map[definitions.Step]fault.Text{
	definitions.StepName:     {EN: "name", JA: "名前"},
	definitions.StepFile:     {EN: "file", JA: "ファイル"},
	definitions.StepOwner:    {EN: "owner", JA: "所有者"},
	definitions.StepSize:     {EN: "size", JA: "サイズ"},
	definitions.StepRejected: {EN: "rejected", JA: "除外の記録"},
	definitions.StepHeader:   {EN: "header", JA: "ヘッダー"},
	definitions.StepLevel:    {EN: "level", JA: "機能レベル"},
	definitions.StepChecksum: {EN: "checksum", JA: "チェックサム"},
	definitions.StepSigned:   {EN: "signature", JA: "署名"},
	definitions.StepText:     {EN: "text", JA: "テキスト"},
	definitions.StepWhole:    {EN: "whole", JA: "セットの完全性"},
	definitions.StepLoad:     {EN: "trial load", JA: "試験読み込み"},
	definitions.StepSelfTest: {EN: "self-test", JA: "自己診断"},
	definitions.StepWithdraw: {EN: "rollback", JA: "ロールバック"},
}

// step names a check; one of a record that another version wrote keeps its own name.
func (w definitionText) step(s definitions.Step) string {
	if name, ok := stepWords[s]; ok {
		return name.In(w.language)
	}
	return word(string(s))
}

func (w definitionText) format(key string, args ...any) string {
	return fmt.Sprintf(definitionWords[key].In(w.language), args...)
}

func (w definitionText) line(text string) error {
	_, err := fmt.Fprintln(w.out, text)
	return err
}

// lines writes until one cannot be written.
func (w definitionText) lines(all ...string) error {
	for _, l := range all {
		if err := w.line(l); err != nil {
			return err
		}
	}
	return nil
}

func moment(t time.Time) string {
	if t.IsZero() {
		return "?"
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}

// bytesOf is a size in bytes for a person.
func bytesOf(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}

func (w definitionText) listing(l definitions.Listing) error {
	if l.Live.ID != "" {
		if err := w.lines(append([]string{w.format("live", w.set(l.Live))}, w.files(l.Live)...)...); err != nil {
			return err
		}
	}
	if l.Previous == nil {
		if err := w.line(w.format("previous", w.format("none"))); err != nil {
			return err
		}
	} else if err := w.lines(append([]string{w.format("previous", w.set(*l.Previous))}, w.files(*l.Previous)...)...); err != nil {
		return err
	}
	if !l.Live.BuiltIn && l.BuiltIn.ID != "" {
		if err := w.line(w.format("package", l.BuiltIn.ID, len(l.BuiltIn.Files), definitions.BuiltInDir)); err != nil {
			return err
		}
	}
	if l.Incoming != nil {
		if err := w.line(w.incoming(l)); err != nil {
			return err
		}
	}
	return w.aside(l.Rejected)
}

func (w definitionText) incoming(l definitions.Listing) string {
	state := "known"
	switch {
	case len(l.Incoming.Unfinished) > 0:
		state = "unfinished"
	case l.Fresh:
		state = "new"
	case l.Incoming.Files == 0:
		state = "none"
	}
	return w.format("incoming", l.Incoming.Files, w.format(state))
}

func (w definitionText) set(s definitions.Set) string {
	if s.BuiltIn {
		return w.format("built-in", s.ID, len(s.Files), definitions.Dir+"/incoming")
	}
	return w.format("set", s.ID, moment(s.Made), word(s.From), s.Signatures, word(s.Engine))
}

// files are the lines of a set's files, without those that the package puts into every set.
func (w definitionText) files(s definitions.Set) (lines []string) {
	for _, f := range s.Files {
		if f.BuiltIn {
			continue
		}
		what := bytesOf(f.Size)
		if h := f.Header; h != nil {
			what = w.format("container", h.Version, h.Signatures, moment(h.Built), what)
		}
		lines = append(lines, fmt.Sprintf("  %-24s %s", word(f.Name), what))
	}
	return lines
}

func (w definitionText) aside(all []definitions.Rejected) error {
	if len(all) == 0 {
		return nil
	}
	if err := w.line(w.format("aside")); err != nil {
		return err
	}
	for _, r := range all {
		name := w.format("whole set")
		if r.Name != "" {
			name = word(r.Name)
		}
		text := fmt.Sprintf("  %s %s (%s): %s", moment(r.When), name, r.Key, w.check(r.Check))
		if r.Missed {
			text += w.format("missed")
		}
		if r.Kept != "" {
			text += w.format("kept", word(r.Kept))
		}
		if err := w.line(text); err != nil {
			return err
		}
	}
	return nil
}

// check is what a check read and expected, on one line.
func (w definitionText) check(k definitions.Check) string {
	s := fmt.Sprintf("%s: %s", w.step(k.Step), terminal.Line(k.Read))
	if k.Expected != "" {
		s += w.format("expected", terminal.Line(k.Expected))
	}
	return s
}

func (w definitionText) checks(all []definitions.Check) error {
	for _, k := range all {
		name := w.format("all")
		if k.File != "" {
			name = word(k.File)
		}
		if err := w.line(fmt.Sprintf("%s: %s: %s", name, w.format(string(k.Verdict)), w.check(k))); err != nil {
			return err
		}
	}
	return nil
}

func (w definitionText) outcome(out definitions.Outcome) error {
	var lines []string
	for _, k := range out.Checks {
		if k.Verdict != definitions.Failed {
			continue
		}
		name := w.format("whole set")
		if k.File != "" {
			name = word(k.File)
		}
		lines = append(lines, w.format("left out", name+": "+w.check(k)))
	}
	if len(out.Earlier) > 0 {
		lines = append(lines, w.format("earlier", quotedNames(out.Earlier)))
	}
	if len(out.Other) > 0 {
		lines = append(lines, w.format("other files", quotedNames(out.Other)))
	}
	switch out.Result {
	case definitions.Live:
		lines = append(lines, w.format("is live", out.Set.ID, len(out.Set.Files)))
	case definitions.Unchanged:
		lines = append(lines, w.format("was live", out.Set.ID))
	}
	return w.lines(lines...)
}

// maxNames is how many names one line has.
const maxNames = 20

func quotedNames(names []string) string {
	quoted := make([]string, 0, maxNames+1)
	for i, n := range names {
		if i == maxNames {
			quoted = append(quoted, "…")
			break
		}
		quoted = append(quoted, word(n))
	}
	return strings.Join(quoted, ", ")
}
