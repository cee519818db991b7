package remediate

import (
	"os"
	"strings"
	"testing"
)

// generated fails where a document has another table between its markers than is made of the data. AMP_UPDATE=1 writes it anew.
func generated(t *testing.T, name, table string) {
	t.Helper()
	const begin, end = "<!-- generated: AMP_UPDATE=1 go test -run Document ./remediate -->\n", "<!-- end -->\n"
	path := "../docs/" + name
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(b), begin)
	is, after, closed := strings.Cut(rest, end)
	switch {
	case !ok || !closed:
		t.Fatalf("%s: no %q, or no %q after it", path, begin, end)
	case os.Getenv("AMP_UPDATE") != "":
		if err := os.WriteFile(path, []byte(before+begin+table+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	case is != table:
		got, want := strings.Split(is, "\n"), strings.Split(table, "\n")
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				t.Fatalf("%s is not what the data says, first in\n%s\nexpected\n%s\n(AMP_UPDATE=1 go test -run Document ./remediate writes it)", path, got[i], want[i])
			}
		}
		t.Fatalf("%s has %d lines of the table, expected %d (AMP_UPDATE=1 go test -run Document ./remediate writes it)", path, len(got), len(want))
	}
}
