package lab

import (
	"strings"
	"testing"
)

func TestMatrix(t *testing.T) {
	m, err := LoadMatrix("../matrix.yaml")
	if err != nil {
		t.Fatal(err)
	}
	g, err := m.Guest("debian12-enforcing-el")
	if err != nil || !g.SELinux.ELLike || g.SELinux.Mode != "enforcing" || g.LoginDefs["USERGROUPS_ENAB"] != "no" {
		t.Errorf("%+v, %v", g, err)
	}
	for _, nightly := range []bool{false, true} {
		left := 0
		for _, g := range m.Tested(nightly) {
			if g.Counted {
				t.Errorf("tests would run in %s, whose instructions are counted", g.Name)
			}
			if g.Nightly {
				left++
			}
		}
		if (left > 0) != nightly {
			t.Errorf("nightly %t: %d guests that make test leaves out", nightly, left)
		}
	}
	if _, err := m.Guest("debian13"); err == nil || !strings.Contains(err.Error(), "debian12-plain") {
		t.Errorf("error %v, expected one that names the guests", err)
	}
}

// goodRow is a whole row; each case of TestParseMatrix damages it.
const goodRow = `guests:
  - name: one
    purpose: To be damaged.
    suite: bookworm
    kernel: linux-image-amd64
    packages: [attr]
    selinux: {mode: enforcing, policy: selinux-policy-default, type: default}
    login_defs: {UMASK: "077"}
    memory_mib: 512
    cpus: 1
    timeout: 5m
`

// withModules is another row, which has modules.
var withModules = strings.NewReplacer("name: one", "name: two", "cpus: 1", "cpus: 1\n    modules: true").Replace(goodRow)

// builtRow begins the fields of a kernel that is built on the machine.
const builtRow = "kernel: linux-image-6.1.0-99-amd64\n    built_from: linux-source"

func TestParseMatrix(t *testing.T) {
	for _, row := range []string{goodRow, strings.Replace(goodRow, "kernel: linux-image-amd64", builtRow+"-6.1", 1)} {
		if _, err := ParseMatrix("x", []byte(row)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ old, new, want string }{
		{"kernel:", "kernal:", "line 5: field kernal not found"},
		{"name: one", "name: One/..", "name"},
		{"purpose: To be damaged.", "purpose: ''", "purpose is empty"},
		{"mode: enforcing", "mode: on", "expected one of enforcing, permissive, disabled"},
		{"mode: enforcing", "mode: disabled", "takes no policy"},
		{", type: default", "", "needs both"},
		{"UMASK", "umask", "login_defs"},
		{"[attr]", "['attr; rm']", "no package name"},
		{"[attr]", "[attr]\n    can_have: ['$(rm)']", `can_have: "$(rm)" is no package name`},
		{"512", "5", "memory_mib is 5"},
		{"cpus: 1", "cpus: 0", "cpus is 0"},
		{"5m", "5s", "timeout is 5s"},
		{"cpus: 1", "cpus: 2\n    counted: true", "cpus is 2: a guest whose instructions are counted has 1"},
		{"cpus: 1", "cpus: 1\n    counted: true\n    secure_boot: true", "secure_boot, from_disk: "},
		{"cpus: 1", "cpus: 1\n    from_disk: true\n    secure_boot: true", "from_disk: a guest under Secure Boot"},
		{"cpus: 1", "cpus: 1\n    modules_of: two", `modules_of: no guest "two"`},
		{"cpus: 1", "cpus: 1\n    modules_of: one", "modules_of: one has no modules"},
		{"cpus: 1", "cpus: 1\n    modules: true\n    modules_of: one", "modules_of: it has modules of its own"},
		{goodRow, withModules + strings.Replace(strings.TrimPrefix(goodRow, "guests:\n"), "kernel: linux-image-amd64", "kernel: linux-image-cloud-amd64\n    modules_of: two", 1),
			"modules_of: two is of bookworm and boots linux-image-amd64, expected bookworm and linux-image-cloud-amd64"},
		{goodRow, withModules + strings.Replace(strings.TrimPrefix(goodRow, "guests:\n"), "cpus: 1", "cpus: 1\n    older: true\n    modules_of: two", 1),
			"modules_of: one of two and one has the kernel before the newest"},
		{"kernel: linux-image-amd64", "kernel: kernel\n    older: true", "older: the headers of kernel have no known name, expected linux-image-…"},
		{"cpus: 1", "cpus: 1\n    own_compiler: true", "own_compiler: "},
		{"kernel: linux-image-amd64", "kernel: linux-image-amd64\n    built_from: linux-source-6.1", `built_from: kernel "linux-image-amd64", expected`},
		{"kernel: linux-image-amd64", builtRow + "-6.10", `built_from: "linux-source-6.10", expected linux-source-6.1 for linux-image-6.1.0-99-amd64`},
		{"kernel: linux-image-amd64", builtRow + "-6.1\n    older: true", "built_from: there is no older version"},
		{"kernel: linux-image-amd64", builtRow + "-6.1\n    secure_boot: true", "built_from: what is built is not signed"},
		{"kernel: linux-image-amd64", builtRow + "-6.1\n    from_disk: true", "built_from: what is built is not signed"},
		{"kernel: linux-image-amd64", builtRow + "-6.1\n    modules: true\n    own_compiler: true", "built_from: the kernel is of the machine's compiler"},
		{goodRow, withModules + strings.Replace(strings.TrimPrefix(goodRow, "guests:\n"), "kernel: linux-image-amd64", builtRow+"-6.1\n    modules_of: two", 1),
			`modules_of: the kernel of two is built from "", expected "linux-source-6.1"`},
		{"cpus: 1", "cpus: 1\n    parameters: ['quiet init=/bin/sh']", `parameters: "quiet init=/bin/sh", expected`},
		{"cpus: 1", "cpus: 1\n    masked: [auditd]", `masked: "auditd" is no unit`},
		{"guests:", "guests: []\nothers:", "others"},
		{"timeout: 5m\n", "timeout: 5m\n---\n{}\n", "second YAML document"},
		{goodRow, "guests: []\n", "no guests"},
		{goodRow, goodRow + strings.TrimPrefix(goodRow, "guests:\n"), `the name "one" is taken`},
	} {
		_, err := ParseMatrix("x", []byte(strings.Replace(goodRow, c.old, c.new, 1)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q for %q: error %v, expected %q in it", c.new, c.old, err, c.want)
		}
	}
}

func FuzzParseMatrix(f *testing.F) {
	f.Add([]byte(goodRow))
	f.Fuzz(func(_ *testing.T, b []byte) { ParseMatrix("fuzz", b) })
}

// TestKey: what an image is made from changes its key; how it is booted does not.
func TestKey(t *testing.T) {
	m, err := ParseMatrix("x", []byte(goodRow))
	if err != nil {
		t.Fatal(err)
	}
	key := func(change func(*Guest)) string {
		g := m.Guests[0]
		change(&g)
		k, err := g.key()
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	same := key(func(*Guest) {})
	if k := key(func(g *Guest) { g.CPUs, g.Timeout, g.Purpose, g.Counted = 4, 1, "x", true }); k != same {
		t.Error("booting differently gives another key")
	}
	for name, change := range map[string]func(*Guest){
		"packages":   func(g *Guest) { g.Packages = append([]string{"jq"}, g.Packages...) },
		"login.defs": func(g *Guest) { g.LoginDefs = map[string]string{"UMASK": "022"} },
		"masked":     func(g *Guest) { g.Masked = []string{"auditd.service"} },
		"firmware":   func(g *Guest) { g.SecureBoot = true },
		"boot disk":  func(g *Guest) { g.FromDisk = true },
		"modules":    func(g *Guest) { g.Modules = true },
		"kernel":     func(g *Guest) { g.Older = true },
		"sources":    func(g *Guest) { g.BuiltFrom = "linux-source-6.1" },
		"compiler":   func(g *Guest) { g.Modules, g.OwnCompiler = true, true },
		"SELinux":    func(g *Guest) { g.SELinux.ELLike = true },
	} {
		if key(change) == same {
			t.Errorf("other %s, same key", name)
		}
	}
}
