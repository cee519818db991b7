package host

import "strings"

// CompilerPackages names the packages that have a compiler, the best first, as the kernel's headers ask for it: "gcc", or with its major version,
// "gcc-12". Any version will do where there is no package of that one.
func CompilerPackages(d Distribution, wanted string) []string {
	kind, version, versioned := strings.Cut(wanted, "-")
	if kind == "" {
		kind = "gcc"
	}
	switch {
	case versioned && d.Family == Debian:
		return []string{wanted, kind}
	case versioned && d.Family == SUSE:
		return []string{kind + version, kind}
	}
	return []string{kind}
}

// BringsCompiler reports whether the distribution's header packages ask for the very compiler that their kernel was built with, as Debian's do. They
// do not ask for make. That those of others ask for what they need is nothing to rest on: Enterprise Linux 7, Ubuntu and SUSE leave it open.
func BringsCompiler(d Distribution) bool { return d.ID == "debian" }
