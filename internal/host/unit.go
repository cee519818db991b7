package host

import (
	"io/fs"
	"strings"

	securejoin "github.com/cyphar/filepath-securejoin"
)

// UnitFile is what the files below the root say of a systemd unit; what systemd has loaded may be older.
type UnitFile struct {
	Name    string
	Path    string   // the file that counts, "" if there is none
	Enabled bool     // a target wants or requires it
	Masked  bool     // linked to /dev/null, or empty
	Links   []string // the links by which targets want or require it
	DropIns []string // NAME.d/*.conf, in order of search
}

// unitFolders is the search path of systemd.unit(5), first wins.
var unitFolders = []string{
	"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system",
}

// UnitOf reads the state of a unit from its files.
func UnitOf(r Root, name string) Reading[UnitFile] {
	u := UnitFile{Name: name}
	if name == "" || strings.Contains(name, "/") {
		return NotKnown[UnitFile](name, fs.ErrInvalid)
	}
	seen := map[string]bool{} // on merged-/usr distributions /lib is /usr/lib
	for _, dir := range unitFolders {
		real, err := r.Path(dir)
		if err == nil && !seen[real] {
			seen[real] = true
			err = u.look(r, dir)
		}
		if err != nil {
			return NotKnown[UnitFile](dir, err)
		}
	}
	from := u.Path
	if from == "" {
		from = unitFolders[0]
	}
	return Read(u, from)
}

func (u *UnitFile) look(r Root, dir string) error {
	path := dir + "/" + u.Name
	fi, err := r.Lstat(path)
	switch {
	case err != nil && !securejoin.IsNotExist(err):
		return err
	case err == nil && u.Path == "":
		u.Path = path
		u.Masked = masked(r, path, fi)
	}
	return u.lookBeside(r, dir)
}

// masked reports whether a unit's file is a link to /dev/null, which in an image need not exist, or empty.
func masked(r Root, path string, fi fs.FileInfo) bool {
	if fi.Mode()&fs.ModeSymlink == 0 {
		return fi.Mode().IsRegular() && fi.Size() == 0
	}
	to, err := r.Readlink(path)
	return err == nil && to == "/dev/null"
}

// lookBeside finds drop-ins and the links of targets in one folder of the search path.
func (u *UnitFile) lookBeside(r Root, dir string) error {
	entries, err := r.ReadDir(dir)
	if securejoin.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := dir + "/" + e.Name()
		switch {
		case e.Name() == u.Name+".d":
			u.DropIns = append(u.DropIns, dropIns(r, path)...)
		case strings.HasSuffix(e.Name(), ".wants") || strings.HasSuffix(e.Name(), ".requires"):
			if _, err := r.Lstat(path + "/" + u.Name); err == nil {
				u.Links = append(u.Links, path+"/"+u.Name)
				u.Enabled = true
			}
		}
	}
	return nil
}

func dropIns(r Root, dir string) []string {
	entries, err := r.ReadDir(dir)
	if err != nil {
		return nil
	}
	var found []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".conf") {
			found = append(found, dir+"/"+e.Name())
		}
	}
	return found
}
