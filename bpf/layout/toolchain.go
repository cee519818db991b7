package layout

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/ampconnector/amp/internal/host"
)

// Parts of a header tree that say what its kernel was built from.
const (
	autoConf   = "include/config/auto.conf"
	maxConf    = 4 << 20
	oldestGCC  = 5 // that is tried where neither the tree's own nor gcc is there
	newestGCC  = 30
	maxVersion = 200 // bytes of CONFIG_CC_VERSION_TEXT that are told
)

// toolchain is what a tree is compiled with.
type toolchain struct {
	tree     string // as seen from inside the root
	make     string // path
	compiler string // path
	wanted   string // "gcc-12": what the kernel was built with, "" if the tree does not say
	text     string // the same as the tree says it
}

// findToolchain finds what the tree asks for, or the nearest to it. Layouts do not depend on the compiler's version; its options do, and
// what of them tells how code is generated is left out (see compileArguments).
func findToolchain(r host.Root, tree string) (*toolchain, error) {
	conf, err := r.ReadFile(path.Join(tree, autoConf), maxConf)
	if err != nil {
		return nil, &Error{Why: TreeIncomplete, From: tree, Err: err}
	}
	if option, on := shuffled(conf); on {
		return nil, &Error{Why: Shuffled, From: path.Join(tree, autoConf), Detail: option + " is set"}
	}
	return findTools(r, tree)
}

// findTools is findToolchain for what need not know the order of structures.
func findTools(r host.Root, tree string) (*toolchain, error) {
	conf, err := r.ReadFile(path.Join(tree, autoConf), maxConf)
	if err != nil {
		return nil, &Error{Why: TreeIncomplete, From: tree, Err: err}
	}
	t := &toolchain{tree: tree, text: brief(setting(conf, "CONFIG_CC_VERSION_TEXT"))}
	kind, major := compilerOf(conf, t.text)
	if major > 0 {
		t.wanted = fmt.Sprintf("%s-%d", kind, major)
	}
	var ok bool
	if t.make, ok = host.FindTool(r, "make"); !ok {
		return nil, &Error{Why: NoMake, From: tree, Wanted: "make"}
	}
	if t.compiler, ok = findCompiler(r, kind, major); !ok {
		e := &Error{Why: NoCompiler, From: tree, Wanted: t.wanted, Detail: "the kernel was built with " + t.text}
		if e.Wanted == "" {
			e.Wanted, e.Detail = kind, "the tree does not say what the kernel was built with"
		}
		return nil, e
	}
	return t, nil
}

// shuffled reports whether the kernel's structures are in an order of its own: RANDSTRUCT, since 5.19 under two other names.
func shuffled(conf []byte) (option string, on bool) {
	for _, option := range []string{"CONFIG_RANDSTRUCT", "CONFIG_GCC_PLUGIN_RANDSTRUCT", "CONFIG_RANDSTRUCT_FULL", "CONFIG_RANDSTRUCT_PERFORMANCE"} {
		if setting(conf, option) == "y" {
			return option, true
		}
	}
	return "", false
}

// setting is the value of an option in auto.conf, "" if it is not set.
func setting(conf []byte, option string) string {
	for rest := conf; len(rest) > 0; {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte("\n"))
		if value, ok := bytes.CutPrefix(line, []byte(option+"=")); ok {
			return strings.Trim(string(bytes.TrimSpace(value)), `"`)
		}
	}
	return ""
}

func brief(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxVersion)], "")
}

var versionInText = regexp.MustCompile(` ([0-9]{1,3})\.[0-9]+`)

// compilerOf is the compiler of the kernel and its major version, 0 if that is not known. CONFIG_GCC_VERSION (4.18) is 120200 for 12.2.
func compilerOf(conf []byte, text string) (kind string, major int) {
	kind, option := "gcc", "CONFIG_GCC_VERSION"
	if setting(conf, "CONFIG_CC_IS_CLANG") == "y" {
		kind, option = "clang", "CONFIG_CLANG_VERSION"
	}
	if n, err := strconv.Atoi(setting(conf, option)); err == nil && n >= 10000 {
		return kind, n / 10000
	}
	if m := versionInText.FindStringSubmatch(text); m != nil {
		major, _ = strconv.Atoi(m[1])
	}
	return kind, major
}

// findCompiler prefers the one of the very version, then the one that the distribution has chosen, then the newest.
func findCompiler(r host.Root, kind string, major int) (string, bool) {
	names := []string{fmt.Sprintf("%s-%d", kind, major), kind}
	for v := newestGCC; v >= oldestGCC; v-- {
		names = append(names, fmt.Sprintf("%s-%d", kind, v))
	}
	for _, name := range names {
		if p, ok := host.FindTool(r, name); ok {
			return p, true
		}
	}
	return "", false
}
