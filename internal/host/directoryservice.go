package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrNoAnswer is in the chain of the Err of a Reading about a name that the files do not have, where a service of nsswitch.conf(5) that
// may know it does not answer.
var ErrNoAnswer = errors.New("does not answer")

// askName sets who is asked for what the files do not have. A service that let a question run out of its time is not waited for again.
func (a *accounts) askName(ctx context.Context) {
	var hangs error
	once := func(ask func() ([]byte, error)) ([]byte, error) {
		if hangs != nil {
			return nil, hangs
		}
		out, err := ask()
		if errors.Is(err, context.DeadlineExceeded) {
			hangs = err
		}
		return out, err
	}
	a.getent = func(database, key string) ([]byte, error) {
		return once(func() ([]byte, error) { return getent(ctx, a.root, database, key) })
	}
	a.elsewhere = func(database, key string) ([]byte, error) {
		return once(func() ([]byte, error) {
			return getent(ctx, a.root, database, key, "-s", strings.Join(a.services(database), " "))
		})
	}
	a.answers = func(service, database, key string) error {
		_, err := once(func() ([]byte, error) { return nil, answers(ctx, a.root, service, database, key) })
		return err
	}
	a.taken = func(database string, ids []uint32) ([]uint32, error) {
		var taken []uint32
		_, err := once(func() (_ []byte, err error) {
			taken, err = takenElsewhere(ctx, a.root, database, strings.Join(a.services(database), " "), ids)
			return nil, err
		})
		return taken, err
	}
}

// services are those of a database that may know more names than the files. One whose module is not installed knows none: the C library
// passes it over, as on a host whose nsswitch.conf came with a default that names all.
func (a *accounts) services(database string) []string {
	services := a.nss.Value.Remote(database)
	if !a.root.Live() {
		return services
	}
	return slices.DeleteFunc(services, func(s string) bool { return !hasModule(a.root, s) })
}

// moduleDirectories are where the C library finds its modules, "*" stands for the directory of an architecture.
var moduleDirectories = []string{"/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/lib/*"}

// hasModule reports whether the module of a service is installed.
func hasModule(r Root, service string) bool {
	file := "libnss_" + service + ".so.2"
	for _, dir := range moduleDirectories {
		parent, every := strings.CutSuffix(dir, "/*")
		if !every {
			if there, err := r.exists(path.Join(dir, file)); there || err != nil {
				return true
			}
			continue
		}
		entries, _ := r.ReadDir(parent)
		for _, e := range entries {
			if !strings.Contains(e.Name(), "-linux-") {
				continue
			}
			if there, err := r.exists(path.Join(parent, e.Name(), file)); there || err != nil {
				return true
			}
		}
	}
	return false
}

// from names who was asked: the file, and the services after it.
func (a *accounts) from(file, database string) string {
	services := a.services(strings.Replace(database, "initgroups", "group", 1))
	if len(services) == 0 {
		return file + ", getent " + database
	}
	return file + ", getent " + database + " (" + strings.Join(services, ", ") + ")"
}

// answer reports which service of a database does not answer, nil where all do. It is asked once.
func (a *accounts) answer(database string) error {
	if err, asked := a.answered[database]; asked {
		return err
	}
	var err error
	for _, service := range a.services(database) {
		if err = a.answers(service, database, a.root0(database)); err != nil {
			break
		}
	}
	a.answered[database] = err
	return err
}

// root0 is the name that the file of a database has for id 0.
func (a *accounts) root0(database string) string {
	if database == "group" {
		for _, g := range a.group.Value.List {
			if g.GID == 0 {
				return g.Name
			}
		}
	}
	for _, u := range a.passwd.Value.List {
		if u.UID == 0 {
			return u.Name
		}
	}
	return "root"
}

// ifAnswers are actions of nsswitch.conf(5): the lookup ends at a service that does not answer, and goes on after any other answer.
const ifAnswers = " [SUCCESS=continue NOTFOUND=continue UNAVAIL=return TRYAGAIN=return] files"

// answers asks whether a service answers at all. getent(1) ends with the same status for a name that is not there and for a service that
// is down, since getpwnam(3) gives it no more. So it is given services of its own, the one in question and then the files, with actions: a
// key that the files have is found only where the service did answer. Seen with glibc 2.36; -s takes actions since there is the option.
func answers(ctx context.Context, r Root, service, database, key string) error {
	if service == "sss" {
		if configured, err := sssdAnswers(ctx, r); err != nil || !configured {
			return err
		}
	}
	out, err := getent(ctx, r, database, key, "-s", service+ifAnswers)
	if err == nil && out == nil {
		err = fmt.Errorf("%s (nsswitch.conf, %s) %w: it may know a name that the files do not have", service, database, ErrNoAnswer)
	}
	return err
}

// Where sssd(8) listens and is configured.
const (
	sssdPipe  = "/var/lib/sss/pipes/nss"
	sssdFile  = "/etc/sssd/sssd.conf"
	sssdFiles = "/etc/sssd/conf.d"
)

// sssdAnswers asks sssd itself: its module as Enterprise Linux and Fedora build it (NONSTANDARD_SSS_NSS_BEHAVIOUR) says "not found" while
// sssd is down, for hosts that name it in nsswitch.conf and do not use it. Those have no configuration.
func sssdAnswers(ctx context.Context, r Root) (configured bool, err error) {
	if configured, err = r.exists(sssdFile); err == nil && !configured {
		entries, listErr := r.ReadDir(sssdFiles)
		configured = len(entries) > 0
		if listErr != nil && !errors.Is(listErr, fs.ErrNotExist) {
			err = listErr
		}
	}
	if err != nil || !configured {
		return configured, err
	}
	pipe, err := r.Path(sssdPipe)
	if err != nil {
		return true, err
	}
	d := net.Dialer{Timeout: time.Second}
	c, err := d.DialContext(ctx, "unix", pipe)
	if err != nil {
		return true, fmt.Errorf("sss (nsswitch.conf) %w: sssd is configured and does not listen: %w", ErrNoAnswer, err)
	}
	return true, c.Close()
}

// takenElsewhere gives those of some ids that services know an owner of.
func takenElsewhere(ctx context.Context, r Root, database, services string, ids []uint32) ([]uint32, error) {
	if !r.Live() {
		return nil, ErrNotRunning
	}
	args := []string{"-s", services, database}
	for _, id := range ids {
		args = append(args, strconv.FormatUint(uint64(id), 10))
	}
	out, status, err := ask(ctx, r, "getent", args...)
	if err != nil || status != 0 && status != getentNotFound {
		return nil, orStatus(err, database, status)
	}
	var taken []uint32
	if database == "group" {
		groups, err := ParseGroup(FromNSS, out)
		for _, g := range groups.List {
			taken = append(taken, g.GID)
		}
		return taken, err
	}
	users, err := ParsePasswd(FromNSS, out)
	for _, u := range users.List {
		taken = append(taken, u.UID)
	}
	return taken, err
}

func orStatus(err error, database string, status int) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("getent %s: exit status %d", database, status)
}
