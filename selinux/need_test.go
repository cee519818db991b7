package selinux

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWouldNeed(t *testing.T) {
	lockdown := Need{"lockdown", []string{"confidentiality"}}
	for release, want := range map[string][]Need{
		"4.18.0-553.el8_10.x86_64":     {BPFNeed},
		"5.5.19":                       {BPFNeed},
		"5.6.0":                        {BPFNeed, lockdown},
		"5.10.0-30-amd64":              {BPFNeed, lockdown},
		"5.14.0-427.13.1.el9_4.x86_64": {BPFNeed, lockdown},
		"5.15.0-300.163.18.el9uek":     {BPFNeed, lockdown},
		"5.16.0":                       {BPFNeed},
		"6.1.0-49-amd64":               {BPFNeed},
		"6.18":                         {BPFNeed},
		"7.2-rc1":                      {BPFNeed},
		"":                             {BPFNeed},
		"five":                         {BPFNeed},
		"99999999999999999999.5":       {BPFNeed},
	} {
		if diff := cmp.Diff(want, WouldNeed(release)); diff != "" {
			t.Errorf("%q (-want +got)\n%s", release, diff)
		}
	}
}
