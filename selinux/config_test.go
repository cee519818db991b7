package selinux

import (
	"strings"
	"testing"

	"github.com/ampconnector/amp/internal/host"
)

func TestConfig(t *testing.T) {
	for name, c := range map[string]struct {
		text       string
		mode       Mode
		policyType string
		err        string
	}{
		"enterprise linux": {"# comment\nSELINUX=enforcing\n# x\nSELINUXTYPE=targeted\n\n", Enforcing, "targeted", ""},
		"spaces after":     {"SELINUX=permissive \nSELINUXTYPE=default\t\r\n", Permissive, "default", ""},
		"upper case":       {"SELINUX=Disabled\nSELINUXTYPE=mls", Disabled, "mls", ""},
		"first mode, last type": {"SELINUX=nonsense\nSELINUX=enforcing\nSELINUX=disabled\nSELINUXTYPE=a\n SELINUXTYPE=b\n",
			Enforcing, "b", ""},
		"indented mode is none": {" SELINUX=enforcing\n", "", "targeted", "no line SELINUX="},
		"unknown mode":          {"\nSELINUX=on\n", "", "targeted", `line 2: SELINUX="on"`},
		"type is a path":        {"SELINUX=enforcing\nSELINUXTYPE=../x\n", Enforcing, "../x", "line 2: SELINUXTYPE"},
		"empty":                 {"", "", "targeted", "no line SELINUX="},
		"no type":               {"SELINUX=enforcing\n", Enforcing, "targeted", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := parseConfig("/etc/selinux/config", []byte(c.text))
			if got.mode != c.mode || got.policyType != c.policyType {
				t.Errorf("%q, %q; want %q, %q", got.mode, got.policyType, c.mode, c.policyType)
			}
			var errs []string
			for _, err := range []error{got.modeErr, got.typeErr} {
				if err != nil {
					errs = append(errs, err.Error())
				}
			}
			all := strings.Join(errs, "\n")
			if c.err == "" && all != "" || !strings.Contains(all, c.err) {
				t.Errorf("error %q, want %q", all, c.err)
			}
		})
	}
}

func TestConfigured(t *testing.T) {
	root := t.TempDir()
	if mode, typ := configured(host.At(root)); mode.Value != Disabled || mode.Err != nil || typ.Err == nil {
		t.Errorf("nothing there: %+v, %+v", mode, typ)
	}
	write(t, root+"/etc/selinux/targeted/policy/policy.33", "x")
	if mode, _ := configured(host.At(root)); mode.Err == nil {
		t.Errorf("a policy without a configuration: %+v, want don't know", mode)
	}
	write(t, root+"/etc/selinux/config", strings.Repeat("x", maxConfig+1))
	if mode, typ := configured(host.At(root)); mode.Err == nil || typ.Err == nil {
		t.Errorf("a huge file: %+v, %+v", mode, typ)
	}
}

func FuzzConfig(f *testing.F) {
	f.Add("SELINUX=enforcing\nSELINUXTYPE=targeted\n")
	f.Add(" SELINUXTYPE=\x00\nSELINUX=")
	f.Fuzz(func(t *testing.T, s string) {
		c := parseConfig("config", []byte(s))
		if (c.mode == "") != (c.modeErr != nil) || c.typeErr == nil && !validName(c.policyType) {
			t.Errorf("%q: %+v", s, c)
		}
	})
}
