package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSummary(t *testing.T) {
	for _, tt := range []struct {
		name, stream string
		ci, ok       bool
		want         string // last line
		has          string
	}{
		{"passes", `{"Action":"run","Package":"p","Test":"A"}
{"Action":"pass","Package":"p","Test":"A"}
{"Action":"pass","Package":"p"}`, true, true, "1 passed, 0 failed, 0 skipped", ""},
		{"a parent is not counted beside its subtests", `{"Action":"fail","Package":"p","Test":"A/x"}
{"Action":"pass","Package":"p","Test":"A/y"}
{"Action":"fail","Package":"p","Test":"A"}
{"Action":"fail","Package":"p"}`, false, false, "1 passed, 1 failed, 0 skipped", "\nfailed   p A/x\n1 passed"},
		{"a parent that fails by itself is", `{"Action":"pass","Package":"p","Test":"A/y"}
{"Action":"output","Package":"p","Test":"A","Output":"cleanup broke\n"}
{"Action":"fail","Package":"p","Test":"A"}`, false, false, "1 passed, 1 failed, 0 skipped", "cleanup broke"},
		{"a package that does not compile", `{"Action":"build-output","ImportPath":"p [p.test]","Output":"undefined: x\n"}
{"Action":"build-fail","ImportPath":"p [p.test]"}
{"Action":"fail","Package":"p"}
{"Action":"pass","Package":"q","Test":"A"}
{"Action":"pass","Package":"q"}`, false, false, "1 passed, 1 failed, 0 skipped", "undefined: x"},
		{"a test that did not end", `{"Action":"run","Package":"p","Test":"A"}
{"Action":"pass","Package":"p","Test":"B"}`, false, false, "1 passed, 1 failed, 0 skipped", "began and did not end"},
		{"a skip", `{"Action":"output","Package":"p","Test":"A","Output":"    x_test.go:3: no network\n"}
{"Action":"output","Package":"p","Test":"A","Output":"--- SKIP: A (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"A"}
{"Action":"pass","Package":"p","Test":"B"}
{"Action":"pass","Package":"p"}`, false, true, "1 passed, 0 failed, 1 skipped", "skipped  p A: no network"},
		{"a skip on CI", `{"Action":"output","Package":"p","Test":"A","Output":"    x_test.go:3: no network\n"}
{"Action":"skip","Package":"p","Test":"A"}
{"Action":"pass","Package":"p","Test":"B"}
{"Action":"pass","Package":"p"}`, true, false, "1 passed, 1 failed, 0 skipped", "CI should have what it needs"},
		{"a skip on CI that is permitted", `{"Action":"output","Package":"p","Test":"A","Output":"    x_test.go:3: needs a kernel that attaches programs by kprobe; the best here is tracepoint\n"}
{"Action":"skip","Package":"p","Test":"A"}
{"Action":"pass","Package":"p","Test":"B"}
{"Action":"pass","Package":"p"}`, true, true, "1 passed, 0 failed, 1 skipped", "skipped  p A: needs a kernel"},
		{"the same in a guest", `{"Action":"output","Package":"guest/g/p","Test":"A","Output":"    x_test.go:3: needs a kernel that attaches programs by kprobe; the best here is tracepoint\n"}
{"Action":"skip","Package":"guest/g/p","Test":"A"}
{"Action":"pass","Package":"guest/g/p","Test":"B"}
{"Action":"pass","Package":"guest/g/p"}`, true, false, "1 passed, 1 failed, 0 skipped", "CI should have what it needs"},
		{"nothing passed", `{"Action":"pass","Package":"p"}`, false, false, "0 passed, 0 failed, 0 skipped", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			stream, junit := filepath.Join(dir, "s.json"), filepath.Join(dir, "junit.xml")
			if err := os.WriteFile(stream, []byte(tt.stream), 0o644); err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			ok, err := summarise([]string{stream}, junit, tt.ci, &out)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if ok != tt.ok || lines[len(lines)-1] != tt.want || !strings.Contains(out.String(), tt.has) {
				t.Errorf("ok %v, want %v; %q with %q expected in\n%s", ok, tt.ok, tt.want, tt.has, out.String())
			}
			if b, err := os.ReadFile(junit); err != nil || !strings.Contains(string(b), "<testsuites") {
				t.Errorf("junit: %q, %v", b, err)
			}
		})
	}
}

func TestBrokenStreamIsNoSuccess(t *testing.T) {
	for name, stream := range map[string]string{"empty": "", "cut off": `{"Action":"pass","Package":"p","Te`, "not JSON": "make: error"} {
		_, err := parse(name, strings.NewReader(stream))
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
