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
	"unicode/utf8"
)

// schema is the part of JSON Schema that docs/remediate.schema.json uses. A keyword that it does not know is an error, so that none is
// passed over in silence.
type schema struct {
	root map[string]any
}

func loadSchema(t *testing.T) schema {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "docs", "remediate.schema.json"))
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

func TestSchemaRefuses(t *testing.T) {
	s := loadSchema(t)
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
