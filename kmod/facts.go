package kmod

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/ampconnector/amp/bpf/layout"
	"github.com/ampconnector/amp/internal/durable"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
)

// OutcomePath is where what became of the last attempt to load the modules is kept until the next boot: who loads them is not who tells of it.
const OutcomePath = "/run/cisco-amp/modules.json"

// Outcome is what became of an attempt to load the modules.
type Outcome struct {
	Release string            `json:"release"`           // of the kernel
	Refused map[string]string `json:"refused,omitempty"` // why a module could not be built or loaded, by its name
	Causes  map[string]Cause  `json:"causes,omitempty"`  // of those that the kernel did not take
	Unbuilt layout.Why        `json:"unbuilt,omitempty"` // why one could not be built
	Wanted  string            `json:"wanted,omitempty"`  // and what it would take: a compiler, by the name that the headers have for it
}

const maxOutcome = 64 << 10

// Keep writes down what became of Ensure. The directory has to be there.
func Keep(r host.Root, release string, refused map[string]error) error {
	o := Outcome{Release: release, Refused: map[string]string{}, Causes: map[string]Cause{}}
	for module, err := range refused {
		o.Refused[module] = Reason(err)
		var unbuilt *layout.Error
		if errors.As(err, &unbuilt) {
			o.Unbuilt, o.Wanted = unbuilt.Why, unbuilt.Wanted
		}
		if refusal := refusalOf(err); refusal != nil {
			o.Causes[module] = refusal.Cause
		} else if errors.Is(err, ErrForeign) {
			o.Causes[module] = NameTaken
		}
	}
	b, err := json.Marshal(o)
	if err != nil {
		return err
	}
	name, err := r.Path(OutcomePath)
	if err != nil {
		return err
	}
	return durable.Write(name, append(b, '\n'), 0o644, nil)
}

// Reason says why a module is not there: the one that came was refused, another one could not be built, or both. What is said of headers and compilers
// is the same as for layouts.
func Reason(err error) string {
	refusal := refusalOf(err)
	var unbuilt *layout.Error
	switch isUnbuilt := errors.As(err, &unbuilt); {
	case refusal != nil && isUnbuilt:
		return refusal.Words().EN + "; " + reasonUnbuilt(unbuilt)
	case refusal != nil:
		return refusal.Words().EN
	case isUnbuilt:
		return reasonUnbuilt(unbuilt)
	}
	return err.Error()
}

func reasonUnbuilt(e *layout.Error) string {
	s := e.Text().EN + ": " + e.From
	for _, more := range []string{e.Wanted, e.Detail} {
		if more != "" && (more != e.Wanted || e.Why != layout.NoMake) { // whose words have the name already
			s += ": " + more
		}
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Log != "" {
		s += " (log: " + e.Log + ")"
	}
	return s
}

// Facts is what is known of the modules on a host.
type Facts struct {
	// Loaded are the modules of ours that are in the kernel, by name.
	Loaded map[string]host.Reading[bool]
	// Tried is the last attempt to load them since the host was booted. The error is fs.ErrNotExist where there was none.
	Tried host.Reading[Outcome]
}

// Gather reads what the host at r says of the modules.
func Gather(r host.Root) Facts {
	f := Facts{Loaded: map[string]host.Reading[bool]{}, Tried: readOutcome(r)}
	for _, m := range modules {
		from := "/sys/module/" + m.name
		loaded, ours, err := m.loaded(r)
		switch {
		case !r.Live():
			f.Loaded[m.name] = host.NotKnown[bool](from, host.ErrNotRunning)
		case err != nil:
			f.Loaded[m.name] = host.NotKnown[bool](from, err)
		default:
			f.Loaded[m.name] = host.Read(loaded && ours, from)
		}
	}
	return f
}

func readOutcome(r host.Root) host.Reading[Outcome] {
	var o Outcome
	b, err := r.ReadFile(OutcomePath, maxOutcome)
	if err == nil {
		if err = json.Unmarshal(b, &o); err != nil {
			err = fmt.Errorf("%s: %w: %w", OutcomePath, host.ErrMalformed, err)
		}
	}
	if err != nil {
		return host.NotKnown[Outcome](OutcomePath, err)
	}
	return host.Read(o, OutcomePath)
}

// WhyNot is why a module is not loaded, as far as it is known: what the last attempt met.
func (f *Facts) WhyNot(module string) fault.Text {
	switch t := f.Tried; {
	case t.Known() && t.Value.Refused[module] != "":
		return fault.Verbatim(t.Value.Refused[module])
	case errors.Is(t.Err, fs.ErrNotExist):
		return fault.Text{
			EN: "kernel module %s was not loaded since the host was started", JA: "カーネルモジュール %s はホストの起動後に読み込まれていません",
		}.With(module)
	case t.Err != nil:
		return fault.Verbatim(t.Err.Error())
	}
	return fault.Text{EN: "kernel module %s is not loaded", JA: "カーネルモジュール %s は読み込まれていません"}.With(module)
}

// Support says whether the source can be opened: all of its modules are loaded.
func (f *Facts) Support() monitor.Support {
	for _, m := range modules {
		switch loaded := f.Loaded[m.name]; {
		case loaded.Err != nil:
			return monitor.Support{Reason: fault.Verbatim(loaded.Err.Error())}
		case !loaded.Value:
			return monitor.Support{Known: true, Reason: f.WhyNot(m.name)}
		}
	}
	return monitor.Support{Yes: true, Known: true, Reason: fault.Text{EN: "the kernel modules are loaded", JA: "カーネルモジュールが読み込まれています"}}
}
