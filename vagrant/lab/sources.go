package lab

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Source is one entry of the machine's package sources, as a deb822 stanza or a one-line entry of sources.list(5) states it.
type Source struct {
	Options    []string // deb822 fields beside the four below, "Name: value", continuation lines included
	URIs       []string
	Suites     []string
	Components []string
}

// stanza writes s in deb822 form.
func (s Source) stanza() string {
	lines := []string{"Types: deb", "URIs: " + strings.Join(s.URIs, " "), "Suites: " + strings.Join(s.Suites, " ")}
	if len(s.Components) > 0 {
		lines = append(lines, "Components: "+strings.Join(s.Components, " "))
	}
	return strings.Join(append(lines, s.Options...), "\n") + "\n"
}

// MachineSources reads the package sources of the machine below etc, which is /etc/apt.
func MachineSources(etc string) ([]Source, error) {
	var all []Source
	files, err := filepath.Glob(filepath.Join(etc, "sources.list.d", "*"))
	if err != nil {
		return nil, err
	}
	for _, name := range append([]string{filepath.Join(etc, "sources.list")}, files...) {
		parse := parseOneLine
		switch {
		case strings.HasSuffix(name, ".sources"):
			parse = parseDeb822
		case !strings.HasSuffix(name, ".list"):
			continue // apt ignores it as well
		}
		b, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		sources, err := parse(name, b)
		if err != nil {
			return nil, err
		}
		all = append(all, sources...)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: no package sources", etc)
	}
	return all, nil
}

// oneLineOptions maps options of a one-line entry to fields of deb822.
var oneLineOptions = map[string]string{
	"arch": "Architectures", "signed-by": "Signed-By", "trusted": "Trusted", "check-valid-until": "Check-Valid-Until", "check-date": "Check-Date",
	"allow-insecure": "Allow-Insecure", "by-hash": "By-Hash",
}

// parseOneLine reads "deb [options] uri suite component…".
func parseOneLine(name string, b []byte) ([]Source, error) {
	var out []Source
	s := bufio.NewScanner(bytes.NewReader(b))
	for line := 1; s.Scan(); line++ {
		text, _, _ := strings.Cut(s.Text(), "#")
		text = strings.TrimSpace(text)
		rest, ok := strings.CutPrefix(text, "deb ")
		if !ok {
			continue
		}
		var src Source
		rest = strings.TrimSpace(rest)
		if strings.HasPrefix(rest, "[") {
			opts, after, ok := strings.Cut(rest[1:], "]")
			if !ok {
				return nil, fmt.Errorf("%s: line %d: %q: the options have no end", name, line, text)
			}
			for _, o := range strings.Fields(opts) {
				k, v, _ := strings.Cut(o, "=")
				field, ok := oneLineOptions[k]
				if !ok {
					return nil, fmt.Errorf("%s: line %d: option %q is not known", name, line, k)
				}
				src.Options = append(src.Options, field+": "+strings.ReplaceAll(v, ",", " "))
			}
			rest = after
		}
		f := strings.Fields(rest)
		if len(f) < 2 {
			return nil, fmt.Errorf("%s: line %d: %q: expected a URI and a suite", name, line, text)
		}
		src.URIs, src.Suites, src.Components = f[:1], f[1:2], f[2:]
		out = append(out, src)
	}
	return out, s.Err()
}

// parseDeb822 reads stanzas of fields. Disabled stanzas and sources of source packages are left out.
func parseDeb822(name string, b []byte) ([]Source, error) {
	var out []Source
	for _, stanza := range strings.Split(uncomment(string(b)), "\n\n") {
		src, types, enabled := Source{}, "", true
		for _, field := range fields(stanza) {
			k, v, ok := strings.Cut(field, ":")
			if !ok {
				return nil, fmt.Errorf("%s: %q: expected a field and a colon", name, field)
			}
			switch strings.ToLower(k) {
			case "types":
				types = v
			case "uris":
				src.URIs = strings.Fields(v)
			case "suites":
				src.Suites = strings.Fields(v)
			case "components":
				src.Components = strings.Fields(v)
			case "enabled":
				enabled = strings.TrimSpace(v) != "no"
			default:
				src.Options = append(src.Options, field)
			}
		}
		if enabled && slices.Contains(strings.Fields(types), "deb") {
			out = append(out, src)
		}
	}
	return out, nil
}

// uncomment drops comment lines, and makes of lines of blanks the empty lines that part stanzas.
func uncomment(s string) string {
	var keep []string
	for line := range strings.Lines(s) {
		line = strings.TrimRight(line, " \t\r\n")
		if !strings.HasPrefix(line, "#") {
			keep = append(keep, line)
		}
	}
	return strings.Join(keep, "\n")
}

// fields parts a stanza; a line that begins with a blank continues the field before it.
func fields(stanza string) []string {
	var out []string
	for _, line := range strings.Split(stanza, "\n") {
		switch {
		case line == "":
		case (line[0] == ' ' || line[0] == '\t') && len(out) > 0:
			out[len(out)-1] += "\n" + line
		default:
			out = append(out, line)
		}
	}
	return out
}

// ForSuite keeps of the machine's sources what serves suite. own is the machine's own codename: where the machine has no entry for
// suite, its entries for own, with the suite put in own's place, are what its administrator means by "the distribution".
func ForSuite(sources []Source, suite, own string) ([]Source, error) {
	if out := matching(sources, suite, suite); len(out) > 0 {
		return out, nil
	}
	if out := matching(sources, own, suite); len(out) > 0 {
		return out, nil
	}
	return nil, fmt.Errorf("the machine's package sources know neither suite %s nor its own, %s", suite, own)
}

// rolling are suites that get updates like any other change, so that they have none of their own.
var rolling = []string{"sid", "unstable"}

// matching returns the sources of suite have and its updates and security suites, renamed to want.
func matching(sources []Source, have, want string) []Source {
	var out []Source
	for _, s := range sources {
		var suites []string
		for _, name := range s.Suites {
			rest, ok := strings.CutPrefix(name, have)
			if rest != "" && slices.Contains(rolling, want) {
				continue
			}
			if ok && slices.Contains([]string{"", "-updates", "-security", "/updates"}, rest) {
				suites = append(suites, want+rest)
			}
		}
		if len(suites) > 0 {
			s.Suites = suites
			out = append(out, s)
		}
	}
	return out
}

// carriedOptions are the settings of apt.conf(5) that say how this machine reaches its package sources.
var carriedOptions = []string{"Acquire::http::", "Acquire::https::", "Acquire::Check-", "Acquire::Retries", "Acquire::AllowInsecure", "Acquire::AllowWeak", "Acquire::ForceIPv"}

// MachineOptions returns the machine's settings for reaching its package sources, as lines of apt.conf(5).
func MachineOptions(ctx context.Context) ([]string, error) {
	b, err := exec.CommandContext(ctx, "apt-config", "dump").Output()
	if err != nil {
		return nil, fmt.Errorf("apt-config dump: %w", err)
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if strings.Contains(line, `""`) {
			continue
		}
		if slices.ContainsFunc(carriedOptions, func(p string) bool { return strings.HasPrefix(line, p) }) {
			out = append(out, line)
		}
	}
	return out, nil
}
