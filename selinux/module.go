package selinux

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/ampconnector/amp/internal/host"
)

// Packaged is the module for services without a policy of their own, as it is packaged at PackagedPath.
//
//go:embed cisco-secure-bpf.cil
var Packaged string

// PackagedPath is where the package keeps Packaged.
const PackagedPath = "/opt/cisco/amp/share/selinux/cisco-secure-bpf.cil"

// maxRules bounds the rules of one module.
const maxRules = 256

// moduleHeader is for the admin who reads the module in the store or prints it.
const moduleHeader = `; cisco-secure-bpf: what the Secure Endpoint connector's service needs from SELinux, of its own domain to itself.
; Each rule stands in an optional block: a policy that does not know the type, the class or a permission drops that block and loads.
; Install: semodule -X 400 -i cisco-secure-bpf.cil    Remove: semodule -X 400 -r cisco-secure-bpf
`

// ModuleCIL is the source of the policy module that allows some domains what our programs need, in CIL. The same rules give the
// same text, whatever the order of the domains. Only names get into it: an error says which is none.
func ModuleCIL(domains []string, needs []Need) (string, error) {
	domains = slices.Compact(slices.Sorted(slices.Values(domains)))
	if len(domains) == 0 || len(needs) == 0 {
		return "", fmt.Errorf("policy module with %d domains and %d classes: it would have no rule", len(domains), len(needs))
	}
	if len(domains)*len(needs) > maxRules {
		return "", fmt.Errorf("policy module with %d domains and %d classes: more than %d rules", len(domains), len(needs), maxRules)
	}
	var b strings.Builder
	b.WriteString(moduleHeader)
	n := 0
	for _, d := range domains {
		if !validType(d) {
			return "", fmt.Errorf("%.80q is not the name of a type", d)
		}
		for _, need := range needs {
			if !validNeed(need) {
				return "", fmt.Errorf("class %.80q with permissions %.80q: not names", need.Class, need.Permissions)
			}
			n++
			fmt.Fprintf(&b, "(optional cisco_secure_bpf_%d\n    (allow %s self (%s (%s))))\n", n, d, need.Class, strings.Join(need.Permissions, " "))
		}
	}
	return b.String(), nil
}

// DefaultCIL is what Packaged holds: the rule for the domain that services without a policy of their own run in.
func DefaultCIL() (string, error) { return ModuleCIL([]string{host.DefaultDomain}, []Need{BPFNeed}) }

// validType is validName for names that CIL takes as a type: they begin with a letter (libsepol, cil_verify_name).
func validType(s string) bool {
	return validName(s) && ('a' <= s[0] && s[0] <= 'z' || 'A' <= s[0] && s[0] <= 'Z') && !cilWord[s]
}

// cilWord are names that mean something else where a type stands in a rule.
var cilWord = map[string]bool{"self": true, "notself": true, "other": true, "all": true, "any": true, "none": true}

// validNeed reports whether a need is made of names.
func validNeed(n Need) bool {
	if len(n.Permissions) == 0 || len(n.Permissions) > 32 || !validWord(n.Class) {
		return false
	}
	return !slices.ContainsFunc(n.Permissions, func(p string) bool { return !validWord(p) })
}

// validWord is the name of a class or permission: letters, digits and "_" in every policy, and no operator of CIL.
func validWord(s string) bool {
	switch s {
	case "all", "and", "or", "xor", "not", "range":
		return false
	}
	return validName(s) && !strings.ContainsAny(s, ".-")
}
