package health_test

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/health/choicetest"
	"github.com/ampconnector/amp/internal/monitor"
)

var japanese = regexp.MustCompile(`\p{Hiragana}|\p{Katakana}|\p{Han}`)

// Each recorded host gets its source, for its reason, and the faults that follow: as the daemon sees it, and as another program of root's does.
func TestSourcesOfHosts(t *testing.T) {
	for _, h := range choicetest.Hosts {
		for _, daemon := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, daemon %v", h.Name, daemon), func(t *testing.T) {
				f := h.Facts(daemon)
				got := health.Choose(f)
				if got.Source != h.Source || got.Reason.EN != h.Reason {
					t.Errorf("the choice is %s, %q;\nexpected %s, %q", got.Source, got.Reason.EN, h.Source, h.Reason)
				}
				if !japanese.MatchString(got.Reason.JA) {
					t.Errorf("the reason is %q, and in Japanese %q", got.Reason.EN, got.Reason.JA)
				}
				var found []choicetest.Finding
				for _, finding := range health.Check(f) {
					switch finding.State {
					case fault.Raised:
						found = append(found, choicetest.Finding{ID: finding.ID, State: finding.State, Severity: finding.Severity, Cause: finding.Cause})
					case fault.Unknown, fault.NotApplicable:
						found = append(found, choicetest.Finding{ID: finding.ID, State: finding.State})
					}
				}
				want := slices.Clone(h.Findings)
				slices.SortFunc(want, func(a, b choicetest.Finding) int { return int(a.ID) - int(b.ID) })
				if !slices.Equal(found, want) {
					t.Errorf("the faults are\n%+v, expected\n%+v", found, want)
				}
			})
		}
	}
}

// Every way in which the choice can end is that of some host: a branch that says something new fails here until a host is recorded that takes it. The
// ways are found by giving it all that it can be given, field by field, so that a new field is tried too.
func TestHostsReachEveryChoice(t *testing.T) {
	reached := map[monitor.Choice]bool{}
	for _, h := range choicetest.Hosts {
		in := health.ChoiceInputs(h.Facts(true))
		nameReasons(t, &in, h.Name)
		reached[monitor.Choose(in)] = true
	}
	if len(reached) < 5 {
		t.Fatalf("hosts reach %v", reached)
	}
	missing := map[monitor.Choice]monitor.Inputs{}
	everyInput(0, monitor.Inputs{}, func(in monitor.Inputs) {
		if c := monitor.Choose(in); !reached[c] {
			missing[c] = in
		}
	})
	for c, in := range missing {
		t.Errorf("no host of choicetest gets %s because of %q, as with %+v", c.Source, c.Reason, in)
	}
}

var supportType = reflect.TypeFor[monitor.Support]()

// nameReasons puts the field's name in the place of each reason. One that health leaves out would be a choice that is told without a reason.
func nameReasons(t *testing.T, in *monitor.Inputs, host string) {
	t.Helper()
	v := reflect.ValueOf(in).Elem()
	for i := range v.NumField() {
		if v.Field(i).Type() != supportType {
			continue
		}
		s := v.Field(i).Addr().Interface().(*monitor.Support)
		if name := v.Type().Field(i).Name; s.Reason != (fault.Text{}) {
			s.Reason = fault.Verbatim(name)
		} else if s.Known && !s.Yes {
			t.Errorf("%s: health gives no reason for %s", host, name)
		}
	}
}

// everyInput calls f with all that fields from i on can be.
func everyInput(i int, in monitor.Inputs, f func(monitor.Inputs)) {
	v := reflect.ValueOf(&in).Elem()
	if i == v.NumField() {
		f(in)
		return
	}
	field, name := v.Field(i), v.Type().Field(i).Name
	if field.Kind() == reflect.Bool {
		for _, yes := range []bool{false, true} {
			field.SetBool(yes)
			everyInput(i+1, in, f)
		}
		return
	}
	for _, s := range []monitor.Support{{Yes: true, Known: true}, {Known: true}, {}} {
		s.Reason = fault.Verbatim(name)
		field.Set(reflect.ValueOf(s)) // panics for a field of another type: say here what that can be
		everyInput(i+1, in, f)
	}
}

// A host that is said to be one of the lab's is: the script is there, and asserts the source and the faults.
func TestHostsOfTheLab(t *testing.T) {
	for _, h := range choicetest.Hosts {
		if (h.Guest == "") == (h.Recorded == "") {
			t.Errorf("%s: seen in %q, recorded from %q; expected one of them", h.Name, h.Guest, h.Recorded)
		}
		if h.Guest == "" {
			continue
		}
		b, err := os.ReadFile("../../vagrant/guest/testdata/" + h.Guest + ".txtar")
		if err != nil {
			t.Error(err)
			continue
		}
		if sources := assertedSources(string(b)); !slices.Contains(sources, h.Monitors()) {
			t.Errorf("%s: %s asserts the sources %q, expected %s", h.Name, h.Guest, sources, h.Monitors())
		}
		for _, id := range h.Raised() {
			if !asserts(string(b), id) {
				t.Errorf("%s: %s does not assert fault %d", h.Name, h.Guest, id)
			}
		}
	}
}

// sourceAsserted are the ways in which scripts of the lab say which source monitors.
var sourceAsserted = regexp.MustCompile(`\^Source: *[*+]([a-z-]+)|source\.name ([a-z-]+)|"name": \*"([a-z-]+)"`)

// assertedSources are the sources that a script asserts; what it asserts not to be is none.
func assertedSources(script string) (sources []monitor.SourceName) {
	for line := range strings.Lines(script) {
		if strings.HasPrefix(line, "!") || strings.HasPrefix(line, "#") {
			continue
		}
		for _, m := range sourceAsserted.FindAllStringSubmatch(line, -1) {
			sources = append(sources, monitor.SourceName(m[1]+m[2]+m[3]))
		}
	}
	return sources
}

// asserts reports whether a script asserts that a fault is raised.
func asserts(script string, id fault.ID) bool {
	raised := regexp.MustCompile(fmt.Sprintf(`(?m)^[^!#\n]*("ID %[1]d - |'ID %[1]d - )|^exit 1 amp-remediate check %[1]d$`, id))
	return raised.MatchString(script)
}

func TestAssertedSources(t *testing.T) {
	const script = "# ^Source: *modules\nstdout '^Source: *ebpf-headers \\(kprobe\\)'\n! stdout '^Source: +degraded'\njsonpath stdout source.name ebpf\n! stdout 'ID 8 - '\nexit 1 amp-remediate check 11\n"
	if got := assertedSources(script); !slices.Equal(got, []monitor.SourceName{monitor.EBPFHeaders, monitor.EBPFKernelBTF}) {
		t.Errorf("%q", got)
	}
	if asserts(script, 8) || asserts(script, 1) || !asserts(script, 11) || !asserts("waitfor 9s sh 'ampcli status | grep -q \"ID 8 - \"'", 8) {
		t.Error("faults")
	}
}
