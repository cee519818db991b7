package host

import "strings"

// toolFolders is where administrators' tools are, whatever PATH says: package scriptlets and services run with short ones.
var toolFolders = []string{"/usr/sbin", "/usr/bin", "/sbin", "/bin"}

// FindTool finds an executable by name below r and returns its path as seen from inside the root. Links, those of
// alternatives included, are followed inside the root.
func FindTool(r Root, name string) (path string, ok bool) {
	if name == "" || strings.Contains(name, "/") {
		return "", false
	}
	for _, dir := range toolFolders {
		path := dir + "/" + name
		fi, err := r.Stat(path)
		if err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
			return path, true
		}
	}
	return "", false
}
