package bpf

import "strings"

// join appends to buf the path that name leads to from dir, both as a process gave or has them: "." and ".." and doubled slashes are
// resolved by their text alone, so that the result may lead over symbolic links where the kernel would have gone elsewhere.
func join(buf []byte, dir, name string) []byte {
	start := len(buf)
	if !strings.HasPrefix(name, "/") {
		buf = appendParts(buf, start, dir)
	}
	buf = appendParts(buf, start, name)
	if len(buf) == start {
		buf = append(buf, '/')
	}
	return buf
}

func appendParts(buf []byte, start int, path string) []byte {
	for len(path) > 0 {
		part, rest, _ := strings.Cut(path, "/")
		path = rest
		switch part {
		case "", ".":
		case "..":
			end := len(buf)
			for end > start && buf[end-1] != '/' {
				end--
			}
			buf = buf[:max(start, end-1)]
		default:
			buf = append(append(buf, '/'), part...)
		}
	}
	return buf
}
