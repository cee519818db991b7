package lab

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

const (
	// serviceDomain is the type that services without a policy of their own run in on Enterprise Linux.
	serviceDomain = "unconfined_service_t"
	serviceUnit   = "cisco-amp.service"
)

// elLikePolicy is a CIL module for a policy with the given classes: it adds unconfined_service_t, which may do everything but use
// bpf(2), as in the policies of Enterprise Linux. A rule that starts the domain by itself (typetransition on bin_t) collides with
// Debian's, so the unit asks for the domain by SELinuxContext=.
func elLikePolicy(classes []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `(type %[1]s)
(roletype object_r %[1]s)
(roletype system_r %[1]s)
(typeattributeset domain (%[1]s))
(typeattribute amp_lab_any_type)
(typeattributeset amp_lab_any_type (all))
(allow init_t %[1]s (process (transition rlimitinh siginh noatsecure signal sigkill sigchld signull sigstop getsched setsched getpgid)))
(allow %[1]s bin_t (file (entrypoint)))
(allow %[1]s usr_t (file (entrypoint)))
`, serviceDomain)
	for _, c := range slices.Sorted(slices.Values(classes)) {
		if c != "bpf" {
			fmt.Fprintf(&b, "(allow %s amp_lab_any_type (%s (all)))\n", serviceDomain, c)
		}
	}
	return b.String()
}

// installELLike puts the module into the policy store of the image at root and proves that the domain got everything but bpf.
func (b *builder) installELLike(ctx context.Context, root, policyType string) error {
	binary, err := binaryPolicy(root, policyType)
	if err != nil {
		return err
	}
	out, err := b.run(ctx, "seinfo", binary, "-c", "--flat")
	if err != nil {
		return err
	}
	classes := strings.Fields(out)
	if !slices.Contains(classes, "bpf") || !slices.Contains(classes, "file") {
		return fmt.Errorf("seinfo %s: %d classes without bpf or file", binary, len(classes))
	}
	cil := filepath.Join(b.scratch, "amp-lab-el-like.cil")
	if err := writeFile(cil, elLikePolicy(classes), 0o644); err != nil {
		return err
	}
	if _, err := b.run(ctx, "semodule", "-p", root, "-s", policyType, "-n", "-i", cil); err != nil {
		return err
	}
	return b.proveELLike(ctx, root, policyType)
}

// proveELLike asks the policy that the guest will load.
func (b *builder) proveELLike(ctx context.Context, root, policyType string) error {
	binary, err := binaryPolicy(root, policyType)
	if err != nil {
		return err
	}
	for class, want := range map[string]bool{"bpf": false, "file": true, "perf_event": true} {
		out, err := b.run(ctx, "sesearch", "-A", "-s", serviceDomain, "-t", serviceDomain, "-c", class, binary)
		if err != nil {
			return err
		}
		if got := strings.Contains(out, "allow"); got != want {
			return fmt.Errorf("%s: %s on %s: allowed is %t, expected %t:\n%s", binary, serviceDomain, class, got, want, out)
		}
	}
	return nil
}

// binaryPolicy is the newest compiled policy of an image.
func binaryPolicy(root, policyType string) (string, error) {
	found, err := filepath.Glob(filepath.Join(root, "etc/selinux", policyType, "policy/policy.*"))
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("%s: no policy of type %q", root, policyType)
	}
	return slices.Max(found), nil
}
