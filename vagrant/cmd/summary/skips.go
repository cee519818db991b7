package main

import (
	"regexp"
	"strings"
)

// permittedSkips are the reasons for which a test may be skipped on CI's own machine. Every other skip means that CI lacks what it should
// have. Guests have all that their tests need.
var permittedSkips = []struct {
	reason *regexp.Regexp
	why    string
}{
	{regexp.MustCompile(`^not in a guest of the lab`), "the guests run it, in their own stream"},
	{regexp.MustCompile(`^not (started|asked) by Test`), "a helper process of another test, which runs it"},
	{regexp.MustCompile(`^the kernel has no SELinux netlink`), "CI's own kernel has SELinux off; the guests cover it"},
	{regexp.MustCompile(`^needs statistics of eBPF programs`), "a benchmark's figure that kernels may leave out"},
	{regexp.MustCompile(`^needs a kernel that attaches programs by `), "CI's own kernel may have no kprobes; the guests run the same tests"},
	{regexp.MustCompile(`^needs the path of a kernel module`), "a module of CI's own kernel is nobody's to load; the guests run the same test"},
	{regexp.MustCompile(`^needs a file system that shares extents`), "CI's own may not; the guests make one"},
	{regexp.MustCompile(`^needs a process 1 that can be looked into`), "CI's own may be barred even for root; the guests run the same test"},
	{regexp.MustCompile(`^needs (a file system with )?fs-verity`), "CI's own kernel may have none; the guests run the same test"},
	{regexp.MustCompile(`^needs the kernel's BTF`), "CI's own kernel may have none; the guests have it"},
}

// guestPackages begins the name of a package whose tests ran in a guest.
const guestPackages = "guest/"

// refuseSkips turns skips for other reasons into failures.
func refuseSkips(all []result) {
	for i := range all {
		if r := &all[i]; r.Outcome == skipped && (strings.HasPrefix(r.Package, guestPackages) || !permitted(r.Reason)) {
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
