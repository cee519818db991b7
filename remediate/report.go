package remediate

import (
	"encoding/json"
	"io"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
)

// Report is what amp-remediate says under --output json. docs/remediate.schema.json describes it.
type Report struct {
	Host   HostReport    `json:"host"`
	Faults []FaultReport `json:"faults"`
}

// HostReport says which host was looked at. A string is empty where it is not known.
type HostReport struct {
	Root           string `json:"root"`
	Live           bool   `json:"live"` // the running host, not an image
	Distribution   string `json:"distribution"`
	DistributionID string `json:"distribution_id"`
	Version        string `json:"version"`
	Kernel         string `json:"kernel"`
	Arch           string `json:"arch"`
	Init           string `json:"init"`
	PackageManager string `json:"package_manager"`
	SELinux        string `json:"selinux"`
	Connector      string `json:"connector"` // package of the connector that was found, "" if none
}

// FaultReport is one fault: the diagnosis, the plan with what became of it, and one sentence.
type FaultReport struct {
	ID       fault.ID         `json:"id"`
	Name     string           `json:"name"`
	Severity fault.Severity   `json:"severity"`
	State    fault.State      `json:"state"` // after the run, where there was one
	Evidence []fault.Evidence `json:"evidence"`
	Plan     []StepReport     `json:"plan"`
	Result   string           `json:"result"`
}

// StepReport is one item of a plan.
type StepReport struct {
	Step     string            `json:"step"`
	State    installer.Outcome `json:"state"`
	Detail   string            `json:"detail"`
	Commands []string          `json:"commands"`
	Packages []string          `json:"packages"`
}

func hostReport(f *health.Facts) HostReport {
	h := f.Host
	r := HostReport{
		Root: h.Root, Live: h.Live, Arch: h.Arch,
		Distribution: h.Distribution.Value.Name, DistributionID: h.Distribution.Value.ID, Version: h.Distribution.Value.VersionID,
		Kernel: h.Kernel.Value.Release, Init: h.Init.Value.Name, PackageManager: h.PackageManager.Value.Name,
		SELinux: string(f.SELinux.Mode.Value),
	}
	if f.Found {
		r.Connector = f.Connector.Package
	}
	return r
}

func (t *Tool) faultReport(m *matter) FaultReport {
	entry, _ := fault.Lookup(m.finding.ID)
	r := FaultReport{
		ID: m.finding.ID, Name: entry.Name.In(t.JSONWords), Severity: m.finding.Severity, State: m.finding.State,
		Evidence: []fault.Evidence{},
		Plan:     []StepReport{},
		Result:   m.result.In(t.JSONWords),
	}
	for _, e := range m.finding.Evidence {
		r.Evidence = append(r.Evidence, e.In(t.JSONWords))
	}
	for _, result := range m.plan.results {
		r.Plan = append(r.Plan, stepReport(result, t.JSONWords))
	}
	return r
}

func stepReport(r installer.Result, l fault.Language) StepReport {
	s := StepReport{State: r.Outcome, Detail: installer.ErrorText(r.Err).In(l), Packages: append([]string{}, r.Item.Packages...)}
	if r.Item.Step == nil {
		s.Step, s.State, s.Commands = r.Item.Manual.In(l), installer.Manual, append([]string{}, r.Item.Commands...)
		return s
	}
	if left, ok := r.Item.Step.(interface{ Remark() fault.Text }); ok && s.Detail == "" {
		s.Detail = left.Remark().In(l) // what the step left undone because something on the host forbids it
	}
	s.Step = r.Item.Step.Title().In(l)
	s.Commands = append([]string{}, r.Item.Step.Commands()...)
	return s
}

// writeJSON writes the report, without escapes that only HTML needs.
func writeJSON(w io.Writer, r Report) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
