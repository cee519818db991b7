package health

import (
	"strings"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
)

// inquiry collects what one rule looks at: all that it read, what of it is wrong, and what could not be read. It goes on after the
// first deviation, so that everything is reported at once.
type inquiry struct {
	evidence []fault.Evidence
	causes   []string
	wrong    []fault.Text // one for each deviation
	unread   []fault.Text // one for each value that is not known
}

// saw records a value. A zero expected means that the value is only context.
func (q *inquiry) saw(what, read fault.Text, from string, expected fault.Text) {
	q.evidence = append(q.evidence, fault.NewEvidence(what, read, from, expected))
}

// deviates records that what was seen last is wrong.
func (q *inquiry) deviates(cause string, words fault.Text) {
	q.causes = append(q.causes, cause)
	q.wrong = append(q.wrong, words)
}

// missing records a value that is not known, with the error that came instead.
func (q *inquiry) missing(what fault.Text, from string, expected fault.Text, err error) {
	q.saw(what, wordUnread.With(err), from, expected)
	q.unread = append(q.unread, fault.Text{EN: what.EN + ": " + err.Error(), JA: what.JA + ": " + err.Error()})
}

// known gives the value of a reading, or records that it is missing.
func known[T any](q *inquiry, what fault.Text, r host.Reading[T], expected fault.Text) (T, bool) {
	if r.Err != nil {
		q.missing(what, r.From, expected, r.Err)
	}
	return r.Value, r.Err == nil
}

// finding is the answer: raised if anything is provably wrong, else unknown if anything could not be read, else clear.
func (q *inquiry) finding(clear fault.Text) fault.Finding {
	answer := fault.Finding{Evidence: q.evidence, Causes: q.causes}
	switch {
	case len(q.wrong) > 0:
		answer.State, answer.Reason = fault.Raised, list(q.wrong)
	case len(q.unread) > 0:
		answer.State = fault.Unknown
		unread := list(q.unread)
		answer.Reason = fault.Text{EN: "cannot be told: " + unread.EN, JA: "判定できません: " + unread.JA}
	default:
		answer.State, answer.Reason = fault.Clear, clear
	}
	return answer
}

// notApplicable is the answer where the fault cannot exist, with the evidence for that.
func (q *inquiry) notApplicable(reason fault.Text) fault.Finding {
	return fault.Finding{State: fault.NotApplicable, Reason: reason, Evidence: q.evidence}
}

// list joins texts as each language does.
func list(texts []fault.Text) fault.Text {
	en, ja := make([]string, len(texts)), make([]string, len(texts))
	for i, t := range texts {
		en[i], ja[i] = t.EN, t.JA
	}
	return fault.Text{EN: strings.Join(en, "; "), JA: strings.Join(ja, "。")}
}

// noConnector is the reason of faults that only a connector can have.
var noConnector = fault.Text{
	EN: "no connector is installed here",
	JA: "コネクタがインストールされていません",
}

// absent answers for a host on which no connector was found.
func (q *inquiry) absent(f *Facts) fault.Finding {
	what := fault.Text{EN: "installed connector", JA: "インストール済みのコネクタ"}
	if _, ok := known(q, what, f.Host.Installation, onlyContext); !ok {
		return q.finding(fault.Text{})
	}
	q.saw(what, wordNone, f.Connector.Binary, onlyContext)
	return q.notApplicable(noConnector)
}
