package host

import (
	"errors"
	"io/fs"
	"path"
	"strings"
)

// repoFolder is where dnf and yum have their repositories.
const repoFolder = "/etc/yum.repos.d"

const maxRepoFile = 256 << 10

// hasRepository reports whether a repository whose name has part in it, in small letters, is set up and not disabled (dnf.conf(5)).
func hasRepository(r Root, part string) Reading[bool] {
	entries, err := r.ReadDir(repoFolder)
	if errors.Is(err, fs.ErrNotExist) {
		return Read(false, repoFolder)
	}
	if err != nil {
		return NotKnown[bool](repoFolder, err)
	}
	var unread error
	for _, e := range entries {
		name := path.Join(repoFolder, e.Name())
		if !strings.HasSuffix(name, ".repo") {
			continue
		}
		b, err := r.ReadFile(name, maxRepoFile)
		if err != nil {
			unread = errors.Join(unread, err)
			continue
		}
		if enabledIn(string(b), part) {
			return Read(true, name)
		}
	}
	if unread != nil {
		return NotKnown[bool](repoFolder, unread)
	}
	return Read(false, repoFolder)
}

// enabledIn looks for a section with part in its name that is enabled, which one without the word is.
func enabledIn(file, part string) bool {
	wanted, enabled := false, false
	for line := range strings.Lines(file) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "["); ok {
			if wanted && enabled {
				return true
			}
			name, _, _ = strings.Cut(name, "]")
			wanted, enabled = repositoryNamed(strings.ToLower(name), part), true
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if ok && strings.TrimSpace(key) == "enabled" {
			switch strings.ToLower(strings.TrimSpace(value)) {
			case "0", "no", "false", "off":
				enabled = false
			}
		}
	}
	return wanted && enabled
}

// repositoryNamed takes [epel], [ol9_developer_EPEL] and [amzn2extra-epel], and leaves out what holds debugging symbols, sources or tests.
func repositoryNamed(name, part string) bool {
	for _, other := range []string{"debug", "source", "testing", "modular"} {
		if strings.Contains(name, other) {
			return false
		}
	}
	return strings.Contains(name, part)
}
