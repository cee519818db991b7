package host

import (
	"cmp"
	"slices"
	"strings"
)

// maxKernels bounds how many kernels of a host are looked at; two or three are usual.
const maxKernels = 32

// InstalledKernels lists the kernels that have modules on the host, the newest first. Each has its build configuration read, which says
// whether it has BTF.
func InstalledKernels(r Root) Reading[[]Kernel] {
	for _, dir := range modulesFolders {
		releases, err := kernelsIn(r, dir)
		if err != nil {
			return NotKnown[[]Kernel](dir, err)
		}
		if len(releases) == 0 {
			continue
		}
		slices.SortFunc(releases, func(a, b string) int { return CompareReleases(b, a) })
		var kernels []Kernel
		for _, release := range releases[:min(len(releases), maxKernels)] {
			kernels = append(kernels, ReadKernel(r, release))
		}
		return Read(kernels, dir)
	}
	return Read[[]Kernel](nil, modulesFolders[0])
}

// CompareReleases orders kernel releases of one distribution as rpm and dpkg order versions: runs of digits by their value, digits as newer
// than letters (348.7.1.el8 is newer than 348.el8), a tilde as older than the end (6.12~rc6 is older than 6.12), and other signs only set
// runs apart. It is negative where a is older.
func CompareReleases(a, b string) int {
	x, y := a, b
	for {
		x, y = strings.TrimLeftFunc(x, separates), strings.TrimLeftFunc(y, separates)
		switch early, late := strings.HasPrefix(x, "~"), strings.HasPrefix(y, "~"); {
		case early && late:
			x, y = x[1:], y[1:]
			continue
		case early:
			return -1
		case late:
			return 1
		case x == "" || y == "":
			return cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(a, b))
		}
		m, n := run(x), run(y)
		if c := compareRuns(m, n); c != 0 {
			return c
		}
		x, y = x[len(m):], y[len(n):]
	}
}

func separates(r rune) bool {
	return r != '~' && !isDigit(byte(min(r, 0x7f))) && !isLetter(byte(min(r, 0x7f)))
}

// run is the longest beginning of s that is all digits, or all letters; s begins with one of them.
func run(s string) string {
	digits := isDigit(s[0])
	n := 1
	for n < len(s) && (digits && isDigit(s[n]) || !digits && isLetter(s[n])) {
		n++
	}
	return s[:n]
}

func isDigit(b byte) bool  { return '0' <= b && b <= '9' }
func isLetter(b byte) bool { return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' }

// compareRuns compares numbers of any length without parsing them: the longer one is larger.
func compareRuns(a, b string) int {
	switch x, y := isDigit(a[0]), isDigit(b[0]); {
	case x && y:
		a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
		return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
	case x != y:
		return strings.Compare(b, a) // digits come before letters in ASCII
	}
	return strings.Compare(a, b)
}
