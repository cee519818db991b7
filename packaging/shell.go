package main

import (
	"path"

	"github.com/goreleaser/nfpm/v2/files"
)

// shell is where distributions look for completions that packages bring.
type shell struct {
	name          string            // also the extension of its files in completions/
	dir           map[string]string // by package format
	before, after string            // what a file's name has before and after the command's
}

var shells = []shell{
	{name: "bash", dir: everywhere("/usr/share/bash-completion/completions")},
	{name: "fish", dir: everywhere("/usr/share/fish/vendor_completions.d"), after: ".fish"},
	// Debian's zsh keeps site-functions for those that come with it and for the administrator below /usr/local.
	{name: "zsh", dir: map[string]string{"deb": "/usr/share/zsh/vendor-completions", "rpm": "/usr/share/zsh/site-functions"}, before: "_"},
}

func everywhere(dir string) map[string]string { return map[string]string{"deb": dir, "rpm": dir} }

// completions are the files that let shells complete the package's commands. In an rpm their folders are the package's too: not every
// distribution's filesystem package has them, and dpkg removes what has become empty by itself.
func (s spec) completions(stage, format string) (c files.Contents) {
	for _, sh := range shells {
		dir := sh.dir[format]
		if format == "rpm" {
			for _, d := range []string{path.Dir(dir), dir} {
				c = append(c, &files.Content{Destination: d, Type: files.TypeDir, FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: 0o755}})
			}
		}
		for _, command := range s.commands {
			f := file(stage, path.Join(dir, sh.before+command+sh.after), 0o644)
			f.Source = path.Join(stage, "completions", command+"."+sh.name)
			c = append(c, f)
		}
	}
	return c
}
