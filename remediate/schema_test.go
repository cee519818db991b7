package remediate

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// schema is the part of JSON Schema that the schemas in docs/ use. A keyword that it does not know is an error, so that none is
// passed over in silence.
type schema struct {
	root map[string]any
}

func loadSchema(t *testing.T, name string) schema {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	s := schema{}
	if err := json.Unmarshal(b, &s.root); err != nil {
		t.Fatal(err)
	}
	return s
}

// validate reports every place in which a document differs from the schema.
func (s schema) validate(document []byte) []string {
	var v any
	if err := json.Unmarshal(document, &v); err != nil {
		return []string{err.Error()}
	}
	return s.check(s.root, v, "$")
}

// of is the schema of a part that has a name.
func (s schema) of(part string) schema {
	return schema{map[string]any{"$defs": s.root["$defs"], "$ref": "#/$defs/" + part}}
}

func (s schema) check(rule map[string]any, v any, at string) (errs []string) {
	fail := func(format string, args ...any) { errs = append(errs, at+": "+fmt.Sprintf(format, args...)) }
	for keyword, want := range rule {
		switch keyword {
		case "$schema", "$id", "$defs", "title", "description":
		case "$ref":
			name := strings.TrimPrefix(want.(string), "#/$defs/")
			errs = append(errs, s.check(s.root["$defs"].(map[string]any)[name].(map[string]any), v, at)...)
		case "type":
			if got := typeOf(v); got != want && !(want == "number" && got == "integer") {
				fail("%s, want %s", got, want)
			}
		case "enum":
			if !slices.Contains(want.([]any), v) {
				fail("%v is none of %v", v, want)
			}
		case "format":
			if text, _ := v.(string); want != "date-time" || !isTime(text) {
				fail("%v, want a %s", v, want)
			}
		case "minimum":
			if n, ok := v.(float64); ok && n < want.(float64) {
				fail("%v is less than %v", n, want)
			}
		case "minLength":
			if text, ok := v.(string); ok && utf8.RuneCountInString(text) < int(want.(float64)) {
				fail("%q is too short", text)
			}
		case "required":
			object, _ := v.(map[string]any)
			for _, name := range want.([]any) {
				if _, ok := object[name.(string)]; !ok {
					fail("no %s", name)
				}
			}
		case "properties", "additionalProperties":
			if keyword == "properties" {
				errs = append(errs, s.properties(rule, v, at)...)
			}
		case "items":
			list, _ := v.([]any)
			for i, item := range list {
				errs = append(errs, s.check(want.(map[string]any), item, fmt.Sprintf("%s[%d]", at, i))...)
			}
		default:
			fail("the schema has the keyword %s, which this test does not know", keyword)
		}
	}
	return errs
}

func (s schema) properties(rule map[string]any, v any, at string) (errs []string) {
	object, _ := v.(map[string]any)
	known := rule["properties"].(map[string]any)
	for name, value := range object {
		if inner, ok := known[name].(map[string]any); ok {
			errs = append(errs, s.check(inner, value, at+"."+name)...)
		} else if rule["additionalProperties"] == false {
			errs = append(errs, at+": unexpected "+name)
		}
	}
	return errs
}

func isTime(s string) bool {
	_, err := time.Parse(time.RFC3339, s)
	return err == nil
}

func typeOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case float64:
		if v == math.Trunc(v) {
			return "integer"
		}
		return "number"
	case []any:
		return "array"
	}
	return "object"
}

func TestBundleSchemaRefuses(t *testing.T) {
	s := loadSchema(t, "bundle.schema.json")
	manifest := func(change func(m map[string]any)) []byte {
		m := map[string]any{
			"format": 1, "about": map[string]any{"program": "p", "host": "h", "root": "/", "live": true, "by_root": true, "events": false}, "made": "2026-11-30T12:00:00Z",
			"secrets_removed": 0, "absent": []any{map[string]any{"from": "/x", "why": "y"}}, "unread": []any{}, "left_out": []any{},
			"members": []any{map[string]any{"name": "n", "from": "/n", "size": 1, "source_size": 2, "cut": true, "secrets_removed": 0, "as_it_is": false}},
		}
		change(m)
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, change := range map[string]func(map[string]any){
		"another format": func(m map[string]any) { m["format"] = 2 },
		"no members":     func(m map[string]any) { delete(m, "members") },
		"null":           func(m map[string]any) { m["unread"] = nil },
		"more":           func(m map[string]any) { m["more"] = 1 },
		"no time":        func(m map[string]any) { m["made"] = "yesterday" },
		"no reason":      func(m map[string]any) { m["left_out"] = []any{map[string]any{"from": "/x"}} },
		"less than none": func(m map[string]any) { m["secrets_removed"] = -1 },
		"nameless":       func(m map[string]any) { m["members"].([]any)[0].(map[string]any)["name"] = "" },
		"about nothing":  func(m map[string]any) { m["about"] = nil },
	} {
		if document := manifest(change); len(s.validate(document)) == 0 {
			t.Errorf("%s: accepted: %s", name, document)
		}
	}
	if errs := s.validate(manifest(func(map[string]any) {})); errs != nil {
		t.Errorf("refused: %q", errs)
	}
}

func TestSchemaRefuses(t *testing.T) {
	s := loadSchema(t, "remediate.schema.json")
	host := `{"root":"/","live":true,"distribution":"","distribution_id":"","version":"","kernel":"","arch":"amd64","init":"","package_manager":"","selinux":"","connector":""}`
	for _, document := range []string{
		`{`, `[]`, `{}`, `{"host":{},"faults":[]}`,
		`{"host":` + host + `,"faults":[],"more":1}`,
		`{"host":` + host + `,"faults":[{"id":5}]}`,
		`{"host":` + host + `,"faults":[{"id":5.5,"name":"n","severity":"minor","state":"clear","evidence":[],"plan":[],"result":"r"}]}`,
		`{"host":` + host + `,"faults":[{"id":5,"name":"n","severity":"minor","state":"gone","evidence":[],"plan":[],"result":"r"}]}`,
		`{"host":` + host + `,"faults":[{"id":5,"name":"n","severity":"minor","state":"clear","evidence":null,"plan":[],"result":"r"}]}`,
	} {
		if len(s.validate([]byte(document))) == 0 {
			t.Errorf("accepted: %s", document)
		}
	}
	if errs := s.validate([]byte(`{"host":` + host + `,"faults":[]}`)); errs != nil {
		t.Errorf("refused: %q", errs)
	}
}
