package host

// Root is a directory that stands for /.
type Root struct{ dir string }

// At returns the root at dir; "" and "/" are the running host.
func At(dir string) Root {
	if dir == "" {
		dir = "/"
	}
	return Root{dir}
}

// Dir is the directory that stands for /.
func (r Root) Dir() string { return r.dir }

// Live reports whether the root is the running host's own.
func (r Root) Live() bool { return r.dir == "/" }
