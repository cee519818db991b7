// Package lab builds the guests of vagrant/matrix.yaml from the machine's own package sources, boots them under QEMU's software
// emulation and runs a payload in them. What enters is a row of the matrix and files; what leaves is the payload's output and the
// console's log. It needs root (file labels, chroots) and changes nothing of the machine but its own cache.
package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// maxMatrix is the largest matrix file that is read, in bytes.
const maxMatrix = 1 << 20

// Guest is one row of the matrix.
type Guest struct {
	Name      string            `yaml:"name"`
	Purpose   string            `yaml:"purpose"`
	Suite     string            `yaml:"suite"`
	Kernel    string            `yaml:"kernel"`
	Packages  []string          `yaml:"packages"`
	CanHave   []string          `yaml:"can_have" json:",omitempty"`
	SELinux   SELinux           `yaml:"selinux"`
	LoginDefs map[string]string `yaml:"login_defs"`
	RPM       bool              `yaml:"rpm"`
	Masked    []string          `yaml:"masked" json:",omitempty"`
	Rooms     []string          `yaml:"rooms" json:"-"`
	Counted   bool              `yaml:"counted" json:",omitempty"`
	Cmdline   []string          `yaml:"parameters" json:",omitempty"`
	Nightly   bool              `yaml:"nightly" json:"-"`
	MemoryMiB int               `yaml:"memory_mib"`
	CPUs      int               `yaml:"cpus"`
	Timeout   time.Duration     `yaml:"timeout"`

	SecureBoot bool `yaml:"secure_boot" json:",omitempty"`
	FromDisk   bool `yaml:"from_disk" json:",omitempty"`
	Modules    bool `yaml:"modules" json:",omitempty"`
	Older      bool `yaml:"older" json:",omitempty"`

	BuiltFrom string `yaml:"built_from" json:",omitempty"`

	OwnCompiler bool   `yaml:"own_compiler" json:",omitempty"`
	ModulesOf   string `yaml:"modules_of" json:"-"`

	NightlyRooms []string `yaml:"nightly_rooms" json:"-"`
}

// RoomsOf are the rooms whose tests run in the guest, those that make test leaves out only where nightly asks for them.
func (g Guest) RoomsOf(nightly bool) []string {
	if nightly {
		return slices.Concat(g.Rooms, g.NightlyRooms)
	}
	return g.Rooms
}

// SELinux says how a guest is confined.
type SELinux struct {
	Mode   string `yaml:"mode"`   // enforcing, permissive, disabled
	Policy string `yaml:"policy"` // package that carries the policy
	Type   string `yaml:"type"`   // its name below /etc/selinux
	ELLike bool   `yaml:"el_like"`
}

// Enabled reports whether the guest's kernel is started with SELinux.
func (s SELinux) Enabled() bool { return s.Mode != "disabled" }

// Matrix is the lab's list of guests.
type Matrix struct {
	Guests []Guest `yaml:"guests"`
}

// Guest returns the row called name.
func (m Matrix) Guest(name string) (Guest, error) {
	for _, g := range m.Guests {
		if g.Name == name {
			return g, nil
		}
	}
	return Guest{}, fmt.Errorf("no guest %q in the matrix; there are: %s", name, strings.Join(m.Names(), ", "))
}

// Tested are the rows that tests run in, those that make test leaves out only where nightly asks for them. One whose instructions are
// counted is for benchmarks alone.
func (m Matrix) Tested(nightly bool) []Guest {
	return slices.DeleteFunc(slices.Clone(m.Guests), func(g Guest) bool { return g.Counted || g.Nightly && !nightly })
}

// Names are the guests' names in the matrix's order.
func (m Matrix) Names() []string {
	var names []string
	for _, g := range m.Guests {
		names = append(names, g.Name)
	}
	return names
}

// LoadMatrix reads and checks a matrix file.
func LoadMatrix(path string) (Matrix, error) {
	f, err := os.Open(path)
	if err != nil {
		return Matrix{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxMatrix+1))
	if err != nil {
		return Matrix{}, err
	}
	return ParseMatrix(path, b)
}

// ParseMatrix reads a matrix from b; name is the file's name for errors. Every problem of every row is reported.
func ParseMatrix(name string, b []byte) (Matrix, error) {
	if len(b) > maxMatrix {
		return Matrix{}, fmt.Errorf("%s: more than %d bytes", name, maxMatrix)
	}
	var m Matrix
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(&m); err != nil {
		return Matrix{}, fmt.Errorf("%s: %w", name, err)
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		return Matrix{}, fmt.Errorf("%s: a second YAML document, expected one", name)
	}
	if len(m.Guests) == 0 {
		return Matrix{}, fmt.Errorf("%s: no guests", name)
	}
	var problems []error
	seen := map[string]bool{}
	for i, g := range m.Guests {
		for _, p := range append(g.problems(), m.modulesProblems(g)...) {
			problems = append(problems, fmt.Errorf("%s: guest %d (%q): %s", name, i+1, g.Name, p))
		}
		if seen[g.Name] {
			problems = append(problems, fmt.Errorf("%s: guest %d: the name %q is taken", name, i+1, g.Name))
		}
		seen[g.Name] = true
	}
	return m, errors.Join(problems...)
}

// modulesProblems lists what is wrong with modules that are to come from another row.
func (m Matrix) modulesProblems(g Guest) []string {
	if g.ModulesOf == "" {
		return nil
	}
	switch of, err := m.Guest(g.ModulesOf); {
	case err != nil:
		return []string{"modules_of: " + err.Error()}
	case g.Modules:
		return []string{"modules_of: it has modules of its own"}
	case !of.Modules:
		return []string{fmt.Sprintf("modules_of: %s has no modules", of.Name)}
	case of.Older != g.Older:
		return []string{fmt.Sprintf("modules_of: one of %s and %s has the kernel before the newest", of.Name, g.Name)}
	case of.BuiltFrom != g.BuiltFrom:
		return []string{fmt.Sprintf("modules_of: the kernel of %s is built from %q, expected %q", of.Name, of.BuiltFrom, g.BuiltFrom)}
	case of.Suite != g.Suite || of.Kernel != g.Kernel:
		return []string{fmt.Sprintf("modules_of: %s is of %s and boots %s, expected %s and %s", of.Name, of.Suite, of.Kernel, g.Suite, g.Kernel)}
	}
	return nil
}

var (
	// guestName is also a host name and a file name.
	guestName   = regexp.MustCompile(`^[a-z][a-z0-9-]{0,38}$`)
	suiteName   = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
	packageName = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`)
	unitName    = regexp.MustCompile(`^[a-z0-9][a-z0-9@_-]*\.(service|socket|timer|path)$`)
	settingName = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)
	roomName    = regexp.MustCompile(`^[a-z][a-z0-9]*(/[a-z][a-z0-9]*)*$`)
	parameter   = regexp.MustCompile(`^[a-z][A-Za-z0-9_.-]*(=[A-Za-z0-9_.,:/-]+)?$`)
	modes       = []string{"enforcing", "permissive", "disabled"}
)

// problems lists what is wrong with a row.
func (g Guest) problems() []string {
	var out []string
	need := func(ok bool, format string, args ...any) {
		if !ok {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	need(guestName.MatchString(g.Name), "name %q: expected %s", g.Name, guestName)
	need(g.Purpose != "", "purpose is empty")
	need(suiteName.MatchString(g.Suite), "suite %q: expected %s", g.Suite, suiteName)
	need(packageName.MatchString(g.Kernel), "kernel %q: expected a package name", g.Kernel)
	for _, p := range g.Packages {
		need(packageName.MatchString(p), "packages: %q is no package name", p)
	}
	for _, p := range g.CanHave {
		need(packageName.MatchString(p), "can_have: %q is no package name", p)
	}
	for _, u := range g.Masked {
		need(unitName.MatchString(u), "masked: %q is no unit", u)
	}
	for _, r := range g.RoomsOf(true) {
		need(roomName.MatchString(r), "rooms: %q is no folder of Go tests, expected %s", r, roomName)
	}
	for _, p := range g.Cmdline {
		need(parameter.MatchString(p), "parameters: %q, expected %s", p, parameter)
	}
	for k, v := range g.LoginDefs {
		need(settingName.MatchString(k), "login_defs: %q: expected %s", k, settingName)
		need(v != "" && !strings.ContainsAny(v, "\n\r"), "login_defs: %s: value %q", k, v)
	}
	need(g.MemoryMiB >= 256 && g.MemoryMiB <= 16384, "memory_mib is %d, expected 256 to 16384", g.MemoryMiB)
	need(g.CPUs >= 1 && g.CPUs <= 8, "cpus is %d, expected 1 to 8", g.CPUs)
	need(!g.Counted || g.CPUs == 1, "cpus is %d: a guest whose instructions are counted has 1", g.CPUs)
	need(!g.HasFirmware() || !g.Counted, "secure_boot, from_disk: a guest whose instructions are counted boots without firmware")
	need(!g.SecureBoot || !g.FromDisk, "from_disk: a guest under Secure Boot boots the kernel of its image")
	need(!g.Older || strings.HasPrefix(g.Kernel, imagePrefix), "older: the headers of %s have no known name, expected %s…", g.Kernel, imagePrefix)
	out = append(out, g.builtProblems()...)
	need(!g.OwnCompiler || g.Modules, "own_compiler: there is nothing to compile without modules")
	need(g.Timeout >= time.Minute && g.Timeout <= time.Hour, "timeout is %s, expected 1m to 1h", g.Timeout)
	return append(out, g.SELinux.problems()...)
}

// problems lists what is wrong with a row's SELinux part.
func (s SELinux) problems() []string {
	var out []string
	if !slices.Contains(modes, s.Mode) {
		out = append(out, fmt.Sprintf("selinux: mode %q, expected one of %s", s.Mode, strings.Join(modes, ", ")))
	}
	switch {
	case s.Enabled() && (!packageName.MatchString(s.Policy) || !suiteName.MatchString(s.Type)):
		out = append(out, fmt.Sprintf("selinux: policy %q, type %q: a guest with SELinux needs both", s.Policy, s.Type))
	case !s.Enabled() && (s.Policy != "" || s.Type != "" || s.ELLike):
		out = append(out, "selinux: a guest without SELinux takes no policy, type or el_like")
	}
	return out
}
