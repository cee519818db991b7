package main

import "regexp"

// permittedSkips are the reasons for which a test may be skipped in CI. Every other skip means that CI lacks what it should have.
var permittedSkips = []struct {
	reason *regexp.Regexp
	why    string
}{
	{regexp.MustCompile(`^not in a guest of the lab`), "the guests run it, in their own stream"},
	{regexp.MustCompile(`^not (started|asked) by Test`), "a helper process of another test, which runs it"},
	{regexp.MustCompile(`^the kernel has no SELinux netlink`), "CI's own kernel has SELinux off; the guests cover it"},
	{regexp.MustCompile(`^needs statistics of eBPF programs`), "a benchmark's figure that kernels may leave out"},
	{regexp.MustCompile(`^needs the kernel's BTF`), "CI's own kernel may have none; the guests have it"},
}

// refuseSkips turns skips for other reasons into failures.
func refuseSkips(all []result) {
	for i := range all {
		if r := &all[i]; r.Outcome == skipped && !permitted(r.Reason) {
			r.Outcome = failed
			r.Output += "Skipped, and CI should have what it needs: " + r.Reason + "\n"
		}
	}
}

func permitted(reason string) bool {
	for _, p := range permittedSkips {
		if p.reason.MatchString(reason) {
			return true
		}
	}
	return false
}
