package layout

import (
	"embed"
	"io/fs"
	"path"
)

// Sources are files that are built, by their names in the one folder that they are put into.
type Sources map[string][]byte

// SourcesOf are all files of embedded folders.
func SourcesOf(folders ...embed.FS) Sources {
	s := Sources{}
	for _, folder := range folders {
		err := fs.WalkDir(folder, ".", func(name string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				s[path.Base(name)], err = folder.ReadFile(name)
			}
			return err
		})
		if err != nil {
			panic(err) // they are in the program
		}
	}
	return s
}
