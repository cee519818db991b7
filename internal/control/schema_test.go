package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ampconnector/amp/internal/fault"
)

// schema checks values by the part of JSON Schema that the schemas in docs/ use. A keyword that it does not know is an error, so
// that nothing in the file goes unchecked.
type schema struct{ root map[string]any }

func loadSchema(t *testing.T, name string) schema {
	t.Helper()
	b, err := os.ReadFile("../../docs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var s schema
	if err := json.Unmarshal(b, &s.root); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s schema) check(at string, rule map[string]any, v any) error {
	var errs []error
	for keyword, arg := range rule {
		switch keyword {
		case "$ref":
			name := strings.TrimPrefix(arg.(string), "#/$defs/")
			errs = append(errs, s.check(at, s.root["$defs"].(map[string]any)[name].(map[string]any), v))
		case "type":
			errs = append(errs, checkType(at, arg.(string), v))
		case "enum":
			if !slices.Contains(arg.([]any), v) {
				errs = append(errs, fmt.Errorf("%s: %v is none of %v", at, v, arg))
			}
		case "format":
			if _, err := time.Parse(time.RFC3339, v.(string)); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", at, err))
			}
		case "required":
			for _, name := range arg.([]any) {
				if _, ok := v.(map[string]any)[name.(string)]; !ok {
					errs = append(errs, fmt.Errorf("%s: no %s", at, name))
				}
			}
		case "properties":
			errs = append(errs, s.checkProperties(at, arg.(map[string]any), v))
		case "items":
			list, _ := v.([]any)
			for i, item := range list {
				errs = append(errs, s.check(fmt.Sprintf("%s[%d]", at, i), arg.(map[string]any), item))
			}
		case "additionalProperties", "description", "title", "$schema", "$defs":
		default:
			errs = append(errs, fmt.Errorf("%s: the schema uses %s, which this check does not know", at, keyword))
		}
	}
	return errors.Join(errs...)
}

// checkProperties takes every object to be closed: the schema says so of each.
func (s schema) checkProperties(at string, properties map[string]any, v any) error {
	var errs []error
	object, _ := v.(map[string]any)
	for name, value := range object {
		rule, ok := properties[name].(map[string]any)
		if !ok {
			errs = append(errs, fmt.Errorf("%s: %s is not in the schema", at, name))
			continue
		}
		errs = append(errs, s.check(at+"."+name, rule, value))
	}
	return errors.Join(errs...)
}

func checkType(at, want string, v any) error {
	ok := false
	switch v := v.(type) {
	case map[string]any:
		ok = want == "object"
	case []any:
		ok = want == "array"
	case string:
		ok = want == "string"
	case bool:
		ok = want == "boolean"
	case float64:
		ok = want == "number" || want == "integer" && v == float64(int64(v))
	}
	if !ok {
		return fmt.Errorf("%s: %v, expected %s", at, v, want)
	}
	return nil
}

func TestStatusFollowsItsSchema(t *testing.T) {
	s := loadSchema(t, "status.schema.json")
	refused := *example()
	refused.Mode, refused.Source = NoMode, Source{Name: "none", Reason: "x", Error: "y", Loss: Loss{Error: "z"}, Neighbours: []fault.Text{{EN: "n", JA: "n"}}}
	refused.Policy = Policy{File: "p", Error: "p:1: bad"}
	refused.Ledger, refused.Log = Ledger{File: "l", Error: "e", Damage: "d"}, Log{File: "l", Dropped: 3, Error: "full"}
	refused.Detections = refused.Log
	refused.Scan = fullScan()
	refused.Faults = Faults([]fault.Entry{{Finding: fault.Finding{ID: 18, State: fault.Raised, Severity: fault.Major, Cause: 19, Evidence: []fault.Evidence{}}, Since: noon, Raised: noon, Doubt: fault.Text{EN: "d", JA: "d"}}})
	derived := *example()
	derived.Source = Source{Name: "ebpf-headers", Layouts: &Layouts{Origin: "cached derivation", From: "/t", Pending: true, Cause: "build-failed", Detail: "x.c:1", Wanted: "gcc-12", Log: "/l"}}
	for name, status := range map[string]Status{
		"running": *example(), "derived": derived, "refused": refused, "not running": NotRunning(fault.Snapshot{}, "/l", errors.New("none")),
		"without evidence": *example().withoutEvidence(), "starting": {Mode: NoMode, Source: Source{Name: "none"}, Scan: Scan{State: ScanStarting}, Faults: []Fault{}},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := json.Marshal(status)
			if err != nil {
				t.Fatal(err)
			}
			var v any
			json.Unmarshal(b, &v)
			if err := s.check("status", s.root, v); err != nil {
				t.Errorf("%v\n%s", err, b)
			}
		})
	}
}

func TestSchemaRefusesWhatIsWrong(t *testing.T) {
	s := loadSchema(t, "status.schema.json")
	for _, text := range []string{`{}`, `{"running":1}`, `{"mode":"fine"}`, `{"extra":true}`, `{"faults":[{"id":"19"}]}`, `{"started":"yesterday"}`} {
		var v any
		json.Unmarshal([]byte(text), &v)
		if err := s.check("status", s.root, v); err == nil {
			t.Errorf("%s was accepted", text)
		}
	}
}
