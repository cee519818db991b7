package host

import (
	"bytes"
	"debug/elf"
	"strings"
)

// parseEconf reads a login.defs(5) as libeconf reads it for shadow (delimiters blank and tab, comments from '#'; econf_readDirs of
// libeconf 0.5): unlike getdef.c it ends a value at a '#', takes quotes away only where a value both begins and ends with one, and takes
// a line without a blank in it for one more line of the value before. What stands below a [group] sets nothing for shadow. Damage that
// ParseLoginDefs refuses is refused here too, and a group without its bracket, since at that the account tools give up.
func parseEconf(name string, b []byte) ([]LoginSetting, error) {
	if len(b) > maxLoginDefs {
		return nil, errTooLarge(name, maxLoginDefs)
	}
	p := econfParser{name: name}
	for line := range bytes.Lines(b) {
		p.line++
		if err := checkLoginDefsLine(name, p.line, line); err != nil {
			return nil, err
		}
		if err := p.add(strings.TrimSuffix(string(line), "\n")); err != nil {
			return nil, err
		}
	}
	return p.settings, nil
}

type econfParser struct {
	name     string
	line     int // number of the line that is being read
	settings []LoginSetting
	grouped  bool    // below a [group]
	last     *string // value of the entry before, whichever group it is in
	lastLine int     // where that one ended
}

func (p *econfParser) add(raw string) error {
	text := strings.TrimLeftFunc(raw, isSpaceRune)
	text, _, commented := strings.Cut(text, "#")
	switch {
	case raw == "" || commented && text == "" && raw[0] == '#':
		return nil
	case strings.HasPrefix(text, "["):
		return p.group(text)
	}
	end := strings.IndexFunc(text, isSpaceRune)
	if end < 0 {
		end = len(text)
	}
	key, rest := text[:end], text[end:]
	if !strings.ContainsAny(rest, " \t") && p.last != nil && p.lastLine+1 == p.line {
		more, _, _ := strings.Cut(raw, "#")
		*p.last += "\n" + more
		p.lastLine = p.line
		return nil
	}
	if key == "" {
		return nil
	}
	s := LoginSetting{Key: key, Value: econfValue(rest), File: p.name, Line: p.line}
	p.lastLine = p.line
	if p.grouped {
		p.last = new(string)
		return nil
	}
	p.settings = append(p.settings, s)
	p.last = &p.settings[len(p.settings)-1].Value
	return nil
}

func (p *econfParser) group(text string) error {
	name, ok := strings.CutSuffix(strings.TrimRightFunc(text[1:], isSpaceRune), "]")
	if !ok || name == "" {
		return malformed(p.name, p.line, "%.80q, a name in brackets expected", text)
	}
	p.grouped = true
	return nil
}

func econfValue(s string) string {
	s = strings.TrimFunc(s, isSpaceRune)
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

func isSpaceRune(r rune) bool { return r < 0x80 && isSpace(byte(r)) }

// mergeEconf says what settings of several files mean together, in the order in which libeconf merges them (mergefiles.c). In one file
// the first of several lines counts, but for a drop-in that changes a setting of a file before: there it is the last.
func mergeEconf(files [][]LoginSetting) map[string]LoginSetting {
	merged := map[string]LoginSetting{}
	for _, settings := range files {
		added := map[string]bool{}
		for _, s := range settings {
			if added[s.Key] {
				continue
			}
			if _, there := merged[s.Key]; !there {
				added[s.Key] = true
			}
			merged[s.Key] = s
		}
	}
	return merged
}

// accountTools are tools of shadow that read login.defs(5). A site may have put a script in the place of one.
var accountTools = []string{"useradd", "groupadd", "usermod", "groupdel"}

// ReadsWithEconf reports whether the account tools of a host read login.defs with libeconf, as SUSE's do, which then read drop-ins and the
// vendor's file too. The tools themselves tell, by the libraries that they are linked with; where none does, the vendor's file, which
// nobody else reads.
func ReadsWithEconf(r Root) bool {
	for _, name := range accountTools {
		if path, ok := FindTool(r, name); ok {
			if libraries, err := linkedWith(r, path); err == nil {
				return strings.Contains(strings.Join(libraries, " "), "libeconf.so")
			}
		}
	}
	there, _ := r.exists(VendorLoginDefsPath)
	return there
}

// linkedWith lists the shared libraries that a program names.
func linkedWith(r Root, name string) ([]string, error) {
	path, err := r.Path(name)
	if err != nil {
		return nil, err
	}
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	program, err := elf.NewFile(f)
	if err != nil {
		return nil, err
	}
	return program.ImportedLibraries()
}
