package installer

import (
	"strings"
	"testing"
)

// The account of a root that does not run is taken away with the tool's -P, as it was made.
func TestPurgeAccount(t *testing.T) {
	for _, defs := range []string{"USERGROUPS_ENAB yes\n", "USERGROUPS_ENAB no\n"} {
		s := newScratch(t)
		s.write(t, "/etc/login.defs", defs, 0o644)
		s.wrap(t, "userdel", `echo "$@" > `+s.dir+`/userdel`+"\n"+`exec "$tool" "$@"`)
		before := map[string]string{}
		files := []string{"/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow"}
		for _, f := range files {
			before[f] = s.read(t, f)
		}
		if _, err := s.apply(t); err != nil {
			t.Fatal(err)
		}
		var done []string
		for _, task := range purgeTasks {
			if !strings.Contains(task.what.EN, scanAccount) {
				continue
			}
			did, err := task.do(t.Context(), s.host(), s.facts())
			if err != nil {
				t.Errorf("%s: %v", task.what.EN, err)
			}
			if again, err := task.do(t.Context(), s.host(), s.facts()); again || err != nil {
				t.Errorf("%s, again: %v, %v", task.what.EN, again, err)
			}
			if did {
				done = append(done, task.what.EN)
			}
		}
		if want := 1 + strings.Count(defs, "no"); len(done) != want { // userdel takes the group along, or not
			t.Errorf("%q: %d taken away, %d expected: %q", defs, len(done), want, done)
		}
		for _, f := range files {
			if now := s.read(t, f); now != before[f] {
				t.Errorf("%q: %s is\n%s\n%s expected", defs, f, now, before[f])
			}
		}
		if got, want := s.read(t, "/userdel"), "-P "+s.dir+" "+scanAccount+"\n"; got != want {
			t.Errorf("userdel %q, %q expected", got, want)
		}
	}
}
