package selinux

import (
	"strings"
	"testing"
)

func TestModuleCIL(t *testing.T) {
	needs := []Need{BPFNeed, {"lockdown", []string{"confidentiality"}}}
	a, err := ModuleCIL([]string{"initrc_t", "unconfined_service_t", "initrc_t"}, needs)
	if err != nil {
		t.Fatal(err)
	}
	b, err := ModuleCIL([]string{"unconfined_service_t", "initrc_t"}, needs)
	if err != nil || a != b {
		t.Errorf("the order of the domains changes the module (%v)", err)
	}
	for _, rule := range []string{
		"(allow initrc_t self (bpf (map_create map_read map_write prog_load prog_run)))",
		"(allow unconfined_service_t self (lockdown (confidentiality)))",
	} {
		if !strings.Contains(a, rule) {
			t.Errorf("no %s in\n%s", rule, a)
		}
	}
}

// TestModuleCILInjection proves that only names get into the source.
func TestModuleCILInjection(t *testing.T) {
	for _, domain := range []string{
		"", "a b", "a)(allow", "x_t self (process (all))) (allow y_t", "a\nb", "a;b", `a"b`, "self", "all", "..", "-", "1a", "é", strings.Repeat("a", 300),
	} {
		if cil, err := ModuleCIL([]string{domain}, []Need{BPFNeed}); err == nil {
			t.Errorf("domain %q:\n%s", domain, cil)
		}
	}
	for _, need := range []Need{
		{}, {"bpf", nil}, {"bpf", []string{"all"}}, {"bpf", []string{"not"}}, {"bpf)", []string{"x"}}, {"bpf", []string{"x) (process (y"}}, {"b.c", []string{"x"}},
	} {
		if cil, err := ModuleCIL([]string{"a_t"}, []Need{need}); err == nil {
			t.Errorf("need %q:\n%s", need, cil)
		}
	}
	if _, err := ModuleCIL(nil, []Need{BPFNeed}); err == nil {
		t.Error("a module without domains was made")
	}
	if _, err := ModuleCIL(make([]string, 1), nil); err == nil {
		t.Error("a module without needs was made")
	}
}

func FuzzModuleCIL(f *testing.F) {
	f.Add("unconfined_service_t", "bpf", "map_create")
	f.Add("a)", "b(", ";")
	f.Fuzz(func(t *testing.T, domain, class, permission string) {
		cil, err := ModuleCIL([]string{domain}, []Need{{class, []string{permission}}})
		if err != nil {
			return
		}
		rule := strings.TrimPrefix(cil, moduleHeader)
		if strings.Count(rule, "(") != 4 || strings.Count(rule, ")") != 4 || strings.ContainsAny(rule, ";\"") || strings.Count(rule, "\n") != 2 {
			t.Errorf("%q %q %q:\n%s", domain, class, permission, rule)
		}
	})
}

// TestModuleLoads has libsepol judge names that are allowed, and proves that an optional block for what the policy lacks does no harm.
func TestModuleLoads(t *testing.T) {
	r, _ := scratchStore(t)
	cil, err := ModuleCIL([]string{"unconfined_service_t", "nosuch-type_t", "container.process", "Initrc_T2", "initrc_t"},
		[]Need{BPFNeed, {"lockdown", []string{"confidentiality"}}, {"file", []string{"no_such_permission"}}})
	must(t, err)
	must(t, Install(t.Context(), r, "", cil, wait))
	got := rules(t, r)
	for _, want := range []string{"allow initrc_t initrc_t:bpf", "allow unconfined_service_t unconfined_service_t:bpf"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "lockdown") {
		t.Errorf("a rule for a class that the policy lacks:\n%s", got)
	}
}
