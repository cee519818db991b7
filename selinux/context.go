package selinux

import (
	"fmt"
	"strings"

	goselinux "github.com/opencontainers/selinux/go-selinux"
)

// maxContext bounds a security context in bytes. The kernel takes up to a page; real ones are below 200.
const maxContext = 4096

// typeOf is the type in a security context (user:role:type[:level]).
func typeOf(context string) (string, error) {
	if len(context) > maxContext {
		return "", fmt.Errorf("security context of %d bytes, more than %d", len(context), maxContext)
	}
	c, err := goselinux.NewContext(context)
	if err != nil {
		return "", fmt.Errorf("security context %q: %w", context, err)
	}
	for _, part := range []string{"user", "role", "type"} {
		if !validName(c[part]) {
			return "", fmt.Errorf("security context %q: %s %q is not a name", context, part, c[part])
		}
	}
	if strings.ContainsFunc(c["level"], func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("security context %q: level %q has characters that no level has", context, c["level"])
	}
	return c["type"], nil
}

// maxName bounds a policy name in bytes; libsepol's own limit for CIL is 2048, real ones are below 64.
const maxName = 255

// validName reports whether s can be the name of a type, class, permission or store. It keeps such a name from meaning anything
// else in a path or in policy source.
func validName(s string) bool {
	if s == "" || len(s) > maxName || strings.Trim(s, ".-") == "" {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '.', c == '-':
		default:
			return false
		}
	}
	return true
}
