package guest

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// jsonpath FILE PATH PATTERN compares a value in JSON with a regular expression that must match all of it; FILE may be stdout. PATH is
// names and numbers parted by dots; "key=value" picks the first element of a list whose key has that value, as in faults.id=19.state.
func jsonpath(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: jsonpath FILE PATH PATTERN")
	}
	pattern, err := regexp.Compile("^(?:" + args[2] + ")$")
	ts.Check(err)
	var doc any
	if err := json.Unmarshal([]byte(ts.ReadFile(args[0])), &doc); err != nil {
		ts.Fatalf("%s: %v", args[0], err)
	}
	v, err := lookup(doc, args[1])
	if err != nil && !neg {
		ts.Fatalf("%s: %v", args[0], err)
	}
	if matches := err == nil && pattern.MatchString(scalar(v)); matches == neg {
		ts.Fatalf("%s: %s is %s, pattern %s", args[0], args[1], scalar(v), args[2])
	}
}

// lookup follows path from v.
func lookup(v any, path string) (any, error) {
	for _, step := range strings.Split(path, ".") {
		var err error
		if v, err = child(v, step); err != nil {
			return nil, fmt.Errorf("%s: at %q: %w", path, step, err)
		}
	}
	return v, nil
}

// child is one step of a path.
func child(v any, step string) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		if c, ok := v[step]; ok {
			return c, nil
		}
		return nil, fmt.Errorf("no such key")
	case []any:
		if key, value, ok := strings.Cut(step, "="); ok {
			return pick(v, key, value)
		}
		if n, err := strconv.Atoi(step); err == nil && n >= 0 && n < len(v) {
			return v[n], nil
		}
		return nil, fmt.Errorf("no such element of %d", len(v))
	}
	return nil, fmt.Errorf("%s is neither a list nor an object", scalar(v))
}

// pick is the first object of a list whose key has the value.
func pick(list []any, key, value string) (any, error) {
	for _, e := range list {
		if m, ok := e.(map[string]any); ok && scalar(m[key]) == value {
			return e, nil
		}
	}
	return nil, fmt.Errorf("no element of %d has it", len(list))
}

// scalar is a value as text: a string as it is, all else as JSON.
func scalar(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
