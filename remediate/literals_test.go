package remediate

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// spokenRooms are the folders whose texts a person reads.
var spokenRooms = []string{"../internal/fault", "../internal/health", "../installer", "../remediate", "../cmd/amp-remediate", "../cmd/internal/hostsetup", "../cmd/ampcli", "../internal/monitor", "../internal/degraded", "../internal/control", "../internal/connector", "../kmod"}

// TestLiteralsAreInBothLanguages looks at every text in the source, also those that no test comes to.
func TestLiteralsAreInBothLanguages(t *testing.T) {
	for _, room := range spokenRooms {
		files, err := filepath.Glob(filepath.Join(room, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		seen := 0
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			positions := token.NewFileSet()
			file, err := parser.ParseFile(positions, name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range literals(file) {
				seen++
				for _, wrong := range text.faults() {
					t.Errorf("%s: %s: %q / %q", positions.Position(text.at), wrong, text.en, text.ja)
				}
			}
		}
		if seen == 0 {
			t.Errorf("%s: no text was found", room)
		}
	}
}

// literal is a text as the source has it: what is put together at run time is left out of it.
type literal struct {
	at     token.Pos
	en, ja string
}

func (l literal) faults() (faults []string) {
	if l.en == "" || l.ja == "" {
		return []string{"one of the languages is missing"}
	}
	if wordsOf(l.en) != "" && !japanese(l.ja) {
		faults = append(faults, "the Japanese is not Japanese")
	}
	if !maps.Equal(verbs(l.en), verbs(l.ja)) {
		faults = append(faults, "the two take different arguments")
	}
	return faults
}

// literals finds composite literals with the fields EN and JA, and those of the types message and complaint, which have the two in order.
func literals(root ast.Node) (found []literal) {
	add := func(at token.Pos, en, ja ast.Expr) { found = append(found, literal{at, constant(en), constant(ja)}) }
	ordered := func(lit *ast.CompositeLit) {
		if len(lit.Elts) == 2 {
			add(lit.Pos(), lit.Elts[0], lit.Elts[1])
		}
	}
	ast.Inspect(root, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		if isOrdered(lit.Type) {
			ordered(lit)
		}
		if m, ok := lit.Type.(*ast.MapType); ok && isOrdered(m.Value) {
			for _, e := range lit.Elts {
				if pair, ok := e.(*ast.KeyValueExpr); ok {
					ordered(pair.Value.(*ast.CompositeLit))
				}
			}
		}
		if en, ja := field(lit, "EN"), field(lit, "JA"); en != nil || ja != nil {
			add(lit.Pos(), en, ja)
		}
		return true
	})
	return found
}

func isOrdered(t ast.Expr) bool {
	name, ok := t.(*ast.Ident)
	return ok && (name.Name == "message" || name.Name == "complaint")
}

func field(lit *ast.CompositeLit, name string) ast.Expr {
	for _, e := range lit.Elts {
		if pair, ok := e.(*ast.KeyValueExpr); ok {
			if key, ok := pair.Key.(*ast.Ident); ok && key.Name == name {
				return pair.Value
			}
		}
	}
	return nil
}

// constant is what of an expression stands in the source, the rest as one mark: two languages put together from the same parts stay alike.
func constant(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, _ := strconv.Unquote(e.Value)
		return s
	case *ast.BinaryExpr:
		return constant(e.X) + constant(e.Y)
	case nil:
		return ""
	}
	return "\x01"
}

// verb is a verb of package fmt, with the number of its argument if it names one.
var verb = regexp.MustCompile(`%(?:\[(\d+)\])?[-+# 0]*\d*(?:\.\d+)?(?:\[(\d+)\])?([a-zA-Z%])`)

// verbs are the verbs of a format by the number of the argument that they print.
func verbs(format string) map[int]string {
	found, next := map[int]string{}, 1
	for _, m := range verb.FindAllStringSubmatch(format, -1) {
		if m[3] == "%" {
			continue
		}
		if number := m[1] + m[2]; number != "" {
			next, _ = strconv.Atoi(number)
		}
		found[next] = m[3]
		next++
	}
	return found
}
