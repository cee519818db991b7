package health

import (
	"errors"

	"github.com/ampconnector/amp/bpf/layout"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/terminal"
)

var (
	wordLayouts  = fault.Text{EN: "layouts of the kernel's structures", JA: "カーネル構造体の配置"}
	wordReadable = fault.Text{EN: "can be read or derived", JA: "読み取りまたは導出できること"}
)

var (
	// toolReasons are those that a package mends.
	toolReasons = map[layout.Why]bool{layout.NoMake: true, layout.NoCompiler: true, layout.OtherCompiler: true}
	// headerReasons are those of headers that fault 11 tells of.
	headerReasons = map[layout.Why]bool{layout.NoHeaders: true, layout.TreeIncomplete: true, layout.OtherRelease: true}
)

// layoutTrouble is why the layouts of a kernel without BTF cannot be had, nil as far as that is not known: what shows without compiling, else what
// the daemon met.
func layoutTrouble(f *Facts) *layout.Error {
	if l := f.BPF.Layouts; l.Known() && l.Value.Reason != nil {
		return l.Value.Reason
	}
	return metLayouts(f)
}

// metLayouts is what the daemon met when it read or derived them, nil if nothing.
func metLayouts(f *Facts) *layout.Error {
	m := f.Monitoring.Value.Layouts
	if !f.Monitoring.Known() || m.Cause == "" {
		return nil
	}
	return &layout.Error{Why: layout.Why(m.Cause), From: m.From, Detail: m.Detail, Wanted: m.Wanted, Log: m.Log}
}

// WhyNoLayouts is an error of layouts in words: what kind of trouble it is, then what was read, as the file or the compiler has it.
func WhyNoLayouts(e *layout.Error) fault.Text {
	words := e.Text()
	if words.EN == "" { // of a newer daemon
		words = fault.Text{EN: "they cannot be had (" + string(e.Why) + ")", JA: "取得できません (" + string(e.Why) + ")"}
	}
	detail := ""
	for _, part := range []string{e.Wanted, e.Detail} {
		if part != "" && (part != e.Wanted || e.Why != layout.NoMake) { // whose words have the name already
			detail += ": " + part
		}
	}
	if e.Err != nil {
		detail += ": " + e.Err.Error()
	}
	if e.Log != "" {
		detail += " (" + e.Log + ")"
	}
	detail = terminal.Line(detail)
	return fault.Text{EN: words.EN + detail, JA: words.JA + detail}
}

var (
	errLayoutsPending = errors.New("they are being read or derived at the moment")
	errNotDerived     = errors.New("they were not derived yet, which only the daemon does")
)

// withoutBTF judges whether a kernel that offers none has its structures' layouts elsewhere. Where its headers are missing it is fault 11 that is to
// be mended first. With layouts nothing is decided yet.
func (q *inquiry) withoutBTF(f *Facts) (answer fault.Finding, decided bool) {
	l, m := f.BPF.Layouts, f.Monitoring
	trouble := layoutTrouble(f)
	switch {
	case !l.Known():
		q.missing(wordLayouts, l.From, wordReadable, l.Err)
	case trouble != nil && headerReasons[trouble.Why] && l.Value.Origin != layout.External:
		q.missing(wordPrograms, trouble.From, wordLoad, errNeedsHeaders)
	case trouble != nil && trouble.Why == layout.NotHere:
		q.missing(wordLayouts, trouble.From, wordReadable, errors.New(WhyNoLayouts(trouble).EN))
	case trouble != nil:
		q.noLayouts(trouble)
	case m.Known() && m.Value.Layouts.Pending:
		q.missing(wordLayouts, m.Value.Layouts.From, wordReadable, errLayoutsPending)
	case l.Value.Origin == layout.Derived:
		q.missing(wordLayouts, l.Value.From, wordReadable, errNotDerived)
	default:
		q.saw(wordLayouts, wordPresent, l.Value.From, wordReadable)
		return answer, false
	}
	return q.finding(fault.Text{}), true
}

func (q *inquiry) noLayouts(e *layout.Error) {
	why := WhyNoLayouts(e)
	q.saw(wordLayouts, why, e.From, wordReadable)
	cause := CauseNotDerived
	if toolReasons[e.Why] {
		cause = CauseNoCompiler
	}
	q.deviates(cause, fault.Text{
		EN: "the kernel offers no BTF, and the layouts of its structures cannot be had from " + e.From + ": " + why.EN,
		JA: "カーネルは BTF を提供しておらず、構造体の配置を " + e.From + " から取得できません: " + why.JA,
	})
}

// refusedLayouts reports whether the error that the daemon has of its source is one of layouts, and not of programs.
func refusedLayouts(m Monitoring) bool {
	return (m.Chosen == monitor.EBPFExternalBTF || m.Chosen == monitor.EBPFHeaders) && m.Layouts.Cause != ""
}
