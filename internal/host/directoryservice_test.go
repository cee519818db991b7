package host

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What the files do not have is not called absent while a service that may know it is down; what they have is known all the same.
func TestServiceThatIsDown(t *testing.T) {
	down := errors.New("down")
	for name, c := range map[string]struct {
		passwd, nsswitch string
		want             map[string]string
	}{
		"user of the service": {"root:x:0:0::/:/bin/sh\n", "passwd: files ldap\ngroup: files\n", map[string]string{"user": "unknown", "group": "988 /etc/group"}},
		"all of the service":  {"root:x:0:0::/:/bin/sh\n", "passwd: files ldap\ngroup: files ldap\n", map[string]string{"user": "unknown", "group": "988 /etc/group"}},
		"user of the files":   {"", "passwd: files ldap\ngroup: files ldap\n", map[string]string{"user": "990:988 /etc/passwd", "extra": "unknown", "same uid": "unknown", "primary": svc}},
		"no service":          {"root:x:0:0::/:/bin/sh\n", "passwd: files\ngroup: files\n", map[string]string{"user": "none", "group": "988 /etc/group"}},
	} {
		tr := accountTree(tree{"etc/nsswitch.conf": c.nsswitch})
		if c.passwd != "" {
			tr["etc/passwd"] = c.passwd
		}
		a := readAccounts(context.Background(), tr.root(t))
		a.getent = func(string, string) ([]byte, error) { return nil, nil }
		a.elsewhere = a.getent
		asked := 0
		a.answers = func(service, _, key string) error {
			if asked++; service != "ldap" || key != "root" {
				t.Errorf("%s: asked %s for %s", name, service, key)
			}
			return down
		}
		got := said(a.facts(svc))
		for what, want := range c.want {
			if got[what] != want {
				t.Errorf("%s: %s is %s, want %s", name, what, got[what], want)
			}
		}
		if asked > 2 { // once a database
			t.Errorf("%s: asked %d times", name, asked)
		}
	}
}

// getent(1) tells apart what its exit status does not, on this machine's own C library.
func TestAnswers(t *testing.T) {
	live := At("/")
	if _, ok := FindTool(live, "getent"); !ok {
		t.Skip("no getent on this machine")
	}
	for _, database := range []string{"passwd", "group"} {
		if err := answers(context.Background(), live, "files", database, "root"); err != nil {
			t.Errorf("%s: files: %v", database, err)
		}
		if err := answers(context.Background(), live, "no_such_service", database, "root"); !errors.Is(err, ErrNoAnswer) || !strings.Contains(err.Error(), "no_such_service (nsswitch.conf, "+database+")") {
			t.Errorf("%s: a service without a module: %v", database, err)
		}
	}
	if hasModule(live, "no_such_service") || !hasModule(live, "compat") {
		t.Error("modules")
	}
	taken, err := takenElsewhere(context.Background(), live, "passwd", "files", []uint32{0, 4200000000})
	if err != nil || !slices.Equal(taken, []uint32{0}) {
		t.Errorf("taken %v, %v", taken, err)
	}
}

func TestServiceThatHangsIsAskedOnce(t *testing.T) {
	a := readAccounts(context.Background(), accountTree(nil).root(t))
	ctx, cancel := context.WithTimeout(context.Background(), 0)
	defer cancel()
	a.root = At("/")
	a.askName(ctx)
	_, first := a.getent("passwd", "root")
	_, second := a.elsewhere("passwd", "root")
	if !errors.Is(first, context.DeadlineExceeded) || !errors.Is(second, first) {
		t.Errorf("%v, then %v", first, second)
	}
}

func TestSSSD(t *testing.T) {
	ctx := context.Background()
	r := tree{}.root(t)
	if configured, err := sssdAnswers(ctx, r); configured || err != nil {
		t.Errorf("not configured: %v, %v", configured, err)
	}
	r = tree{"etc/sssd/conf.d/10-site.conf": "", "var/lib/sss/pipes/": ""}.root(t)
	if configured, err := sssdAnswers(ctx, r); !configured || !errors.Is(err, ErrNoAnswer) {
		t.Errorf("down: %v, %v", configured, err)
	}
	t.Chdir(filepath.Join(r.Dir(), "var/lib/sss/pipes")) // the names of sockets are short
	l, err := net.Listen("unix", "nss")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if wd, _ := os.Getwd(); len(wd) > 90 {
		t.Skip("the name of the temporary folder is too long for a socket")
	}
	if configured, err := sssdAnswers(ctx, r); !configured || err != nil {
		t.Errorf("listens: %v, %v", configured, err)
	}
}
