package selinux

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/ampconnector/amp/internal/host"
)

const (
	maxUnit    = 1 << 20 // bytes of one unit file, systemd's own limit for a line
	maxDropIns = 256     // files
)

// unitDirs is systemd's search path for system units (systemd.unit(5)), highest precedence first. /lib is searched where /usr is not merged.
var unitDirs = []string{
	"/etc/systemd/system.control", "/run/systemd/system.control", "/run/systemd/transient",
	"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system",
}

// unitContext is the value of SELinuxContext= (systemd.exec(5)) of a unit with its drop-ins, and the file that sets it; "" where none does.
func unitContext(r host.Root, unit string) (context, from string, err error) {
	if !validUnit(unit) {
		return "", "", fmt.Errorf("unit %q is not the name of a service", unit)
	}
	files, err := unitFiles(r, unit)
	if err != nil {
		return "", "", err
	}
	for _, name := range files {
		b, err := r.ReadFile(name, maxUnit)
		if err != nil {
			return "", "", fmt.Errorf("read %s: %w", name, err)
		}
		if v, ok := serviceSetting(b, "SELinuxContext"); ok {
			context, from = v, name
		}
	}
	// A leading "-" only says that a failure to change the domain is to be ignored.
	context = strings.TrimPrefix(context, "-")
	if strings.Contains(context, "%") {
		return "", "", fmt.Errorf("%s: SELinuxContext=%.80q has a specifier, which only systemd can expand", from, context)
	}
	return context, from, nil
}

// validUnit reports whether unit is a service's name and safe in a path.
func validUnit(unit string) bool {
	base, ok := strings.CutSuffix(unit, ".service")
	return ok && validName(strings.ReplaceAll(strings.ReplaceAll(base, "@", "_"), ":", "_"))
}

// unitFiles lists the files that make up a unit in the order in which systemd reads them: the unit file of the highest precedence, then
// the drop-ins by file name. Of drop-ins with one name only that of the most specific, then highest directory counts.
func unitFiles(r host.Root, unit string) ([]string, error) {
	var files []string
	for _, dir := range unitDirs {
		name := path.Join(dir, unit)
		if fi, err := r.Stat(name); err == nil && fi.Mode().IsRegular() {
			files = append(files, name)
			break
		} else if err == nil { // a link to /dev/null: masked
			break
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	dropIns := map[string]string{} // by base name
	for _, d := range dropInDirs(unit) {
		for _, dir := range unitDirs {
			if err := addDropIns(r, path.Join(dir, d), dropIns); err != nil {
				return nil, err
			}
		}
	}
	names := make([]string, 0, len(dropIns))
	for base := range dropIns {
		names = append(names, base)
	}
	slices.Sort(names)
	for _, base := range names {
		// An empty file or a link to /dev/null takes away what a lower directory has.
		if fi, err := r.Stat(dropIns[base]); err == nil && fi.Mode().IsRegular() {
			files = append(files, dropIns[base])
		}
	}
	return files, nil
}

// dropInDirs is "a-b.service.d", "a-.service.d", "service.d" for a unit a-b.service: most specific first.
func dropInDirs(unit string) []string {
	dirs := []string{unit + ".d"}
	base := strings.TrimSuffix(unit, ".service")
	for i := len(base) - 1; i > 0; i-- {
		if base[i-1] == '-' {
			dirs = append(dirs, base[:i]+".service.d")
		}
	}
	return append(dirs, "service.d")
}

func addDropIns(r host.Root, dir string, to map[string]string) error {
	entries, err := r.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, taken := to[e.Name()]; taken || !strings.HasSuffix(e.Name(), ".conf") {
			continue
		}
		if len(to) == maxDropIns {
			return fmt.Errorf("%s: more than %d drop-ins", dir, maxDropIns)
		}
		to[e.Name()] = path.Join(dir, e.Name())
	}
	return nil
}

// serviceSetting is the last assignment to a setting in the [Service] section of a unit file (systemd.syntax(7)); an empty value is an
// assignment too, that takes back the earlier ones.
func serviceSetting(b []byte, key string) (value string, ok bool) {
	section := ""
	for _, line := range logicalLines(string(b)) {
		switch {
		case strings.HasPrefix(line, "["):
			section = line
		case section == "[Service]":
			k, v, isAssignment := strings.Cut(line, "=")
			if isAssignment && strings.TrimSpace(k) == key {
				value, ok = strings.TrimSpace(v), true
			}
		}
	}
	return value, ok
}

// logicalLines joins lines that end in a backslash, and drops comments and empty lines.
func logicalLines(s string) []string {
	var out []string
	var joined strings.Builder
	continued := false
	for _, line := range strings.Split(s, "\n") {
		line = strings.TrimRight(line, "\r")
		trimmed := strings.TrimSpace(line)
		if strings.HasPrefix(trimmed, "#") || strings.HasPrefix(trimmed, ";") {
			continue // also between continued lines
		}
		if part, more := strings.CutSuffix(line, `\`); more {
			joined.WriteString(part + " ")
			continued = true
			continue
		}
		joined.WriteString(line)
		if whole := strings.TrimSpace(joined.String()); whole != "" {
			out = append(out, whole)
		}
		joined.Reset()
		continued = false
	}
	if continued {
		if whole := strings.TrimSpace(joined.String()); whole != "" {
			out = append(out, whole)
		}
	}
	return out
}
