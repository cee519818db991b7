package host

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

const userGroups = "USERGROUPS_ENAB"

func TestLoginDefsValue(t *testing.T) {
	long := "#" + strings.Repeat("x", getdefBuffer-1) + userGroups + " no\n"
	for name, c := range map[string]struct {
		text  string
		value string
		line  int
		ok    bool
	}{
		"plain":                    {"USERGROUPS_ENAB yes\n", "yes", 1, true},
		"no newline at the end":    {"USERGROUPS_ENAB yes", "yes", 1, true},
		"tabs and blanks":          {"\n \t USERGROUPS_ENAB\t \t no \t\n", "no", 2, true},
		"quoted":                   {`USERGROUPS_ENAB "no"` + "\n", "no", 1, true},
		"quotes on quotes":         {`USERGROUPS_ENAB ""no"` + "\n", "no", 1, true},
		"empty in quotes":          {`USERGROUPS_ENAB ""` + "\n", "", 1, true},
		"no comments behind":       {"USERGROUPS_ENAB no # why\n", "no # why", 1, true},
		"comment behind quotes":    {`USERGROUPS_ENAB "no" # why` + "\n", "no", 1, true},
		"equals sign is a value":   {"USERGROUPS_ENAB = no\n", "= no", 1, true},
		"equals sign in the name":  {"USERGROUPS_ENAB=no\n", "", 0, false},
		"last wins":                {"USERGROUPS_ENAB yes\nUSERGROUPS_ENAB no\n", "no", 2, true},
		"last without value loses": {"USERGROUPS_ENAB yes\nUSERGROUPS_ENAB\n", "yes", 1, true},
		"commented out":            {"#USERGROUPS_ENAB yes\n # USERGROUPS_ENAB yes\n", "", 0, false},
		"case counts":              {"usergroups_enab yes\n", "", 0, false},
		"other name":               {"USERGROUPS_ENABLED yes\n", "", 0, false},
		"windows":                  {"UMASK 022\r\nUSERGROUPS_ENAB yes\r\n", "yes", 2, true},
		"rest of a long line":      {long, "no", 1, true},
		"empty file":               {"", "", 0, false},
	} {
		d, err := ParseLoginDefs("login.defs", []byte(c.text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		value, line, ok := d.Value(userGroups)
		if value != c.value || line != c.line || ok != c.ok {
			t.Errorf("%s: %q, %d, %v; want %q, %d, %v", name, value, line, ok, c.value, c.line, c.ok)
		}
	}
}

func TestLoginDefsWith(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"plain":               {"A 1\nUSERGROUPS_ENAB no\nB 2\n", "A 1\nUSERGROUPS_ENAB yes\nB 2\n"},
		"spacing stays":       {"  USERGROUPS_ENAB \t no \t\nB\n", "  USERGROUPS_ENAB \t yes \t\nB\n"},
		"quotes stay":         {`USERGROUPS_ENAB "no" # why`, `USERGROUPS_ENAB "yes" # why`},
		"empty quotes":        {`USERGROUPS_ENAB ""`, `USERGROUPS_ENAB "yes"`},
		"comment was a value": {"USERGROUPS_ENAB no # why\n", "USERGROUPS_ENAB yes\n"},
		"doubled":             {"USERGROUPS_ENAB no\nUSERGROUPS_ENAB no\n", "USERGROUPS_ENAB no\nUSERGROUPS_ENAB yes\n"},
		"commented out":       {"#USERGROUPS_ENAB no\n", "#USERGROUPS_ENAB no\nUSERGROUPS_ENAB yes\n"},
		"absent, no newline":  {"A 1", "A 1\nUSERGROUPS_ENAB yes\n"},
		"absent, windows":     {"A 1\r\nB 2", "A 1\r\nB 2\r\nUSERGROUPS_ENAB yes\r\n"},
		"windows":             {"USERGROUPS_ENAB no\r\nB 2\r\n", "USERGROUPS_ENAB yes\r\nB 2\r\n"},
		"empty file":          {"", "USERGROUPS_ENAB yes\n"},
		"not ASCII elsewhere": {"# \xe9t\xe9 \xc3\xa9\nUSERGROUPS_ENAB no\n", "# \xe9t\xe9 \xc3\xa9\nUSERGROUPS_ENAB yes\n"},
	} {
		d := mustLoginDefs(t, c.text)
		got := d.With(userGroups, "yes")
		if string(got) != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if back := mustLoginDefs(t, string(got)).Revert(userGroups, d); string(back) != c.text {
			t.Errorf("%s: the way back gives %q, want %q", name, back, c.text)
		}
	}
	d := mustLoginDefs(t, "USERGROUPS_ENAB no\n")
	for _, bad := range [][2]string{{"", "x"}, {"A B", "x"}, {"#A", "x"}, {userGroups, "a\nb"}, {userGroups, `a"b`}, {userGroups, " a"}, {userGroups, "\x00"}} {
		if got := d.With(bad[0], bad[1]); got != nil {
			t.Errorf("With(%q, %q) = %q, want nil", bad[0], bad[1], got)
		}
	}
}

func TestLoginDefsRevertKeepsOtherEdits(t *testing.T) {
	for name, c := range map[string]struct{ before, edited, want string }{
		"another line":     {"UMASK 022\nUSERGROUPS_ENAB no\n", "UMASK 077\nUSERGROUPS_ENAB yes\nX 1\n", "UMASK 077\nUSERGROUPS_ENAB no\nX 1\n"},
		"behind our line":  {"UMASK 022\n", "UMASK 022\nUSERGROUPS_ENAB yes\nX 1\n", "UMASK 022\nX 1\n"},
		"they removed it":  {"USERGROUPS_ENAB no\n", "X 1\n", "X 1\n"},
		"nothing was done": {"X 1\n", "X 1\n", "X 1\n"},
	} {
		got := mustLoginDefs(t, c.edited).Revert(userGroups, mustLoginDefs(t, c.before))
		if string(got) != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func mustLoginDefs(t testing.TB, text string) *LoginDefs {
	t.Helper()
	d, err := ParseLoginDefs("login.defs", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestLoginDefsDamaged(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		err  error
		want string
	}{
		"NUL":       {"A 1\nB \x002\n", ErrMalformed, "/etc/login.defs: line 2: byte 0x00 at column 3"},
		"escape":    {"A \x1b[m\n", ErrMalformed, "line 1: byte 0x1b"},
		"long line": {"A 1\n#" + strings.Repeat("x", maxLine) + "\n", ErrMalformed, "line 2: 8194 bytes long"},
		"huge":      {strings.Repeat("A 1\n", maxLoginDefs/4+1), ErrTooLarge, "/etc/login.defs: too large: more than 1048576 bytes"},
	} {
		_, err := ParseLoginDefs("/etc/login.defs", []byte(c.text))
		if !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// TestLoginDefsAsShadowReadsIt compares with the machine's own useradd: where a number is expected, its complaint quotes the
// value that it read. It works on a scratch root.
func TestLoginDefsAsShadowReadsIt(t *testing.T) {
	useradd, err := exec.LookPath("useradd")
	if err != nil || os.Geteuid() != 0 {
		t.Skip("needs useradd and root: ", err)
	}
	for _, text := range []string{
		"SYS_UID_MIN witness\n", "SYS_UID_MIN  \"wit ness\" # why\n", "SYS_UID_MIN witness # why\n", "SYS_UID_MIN 1\nSYS_UID_MIN last\r\n",
		"SYS_UID_MIN = witness\n", "#" + strings.Repeat("x", getdefBuffer-1) + "SYS_UID_MIN rest\n", "\t SYS_UID_MIN\t\"\"witness",
	} {
		r := tree{"etc/login.defs": text, "etc/passwd": "root:x:0:0::/:/bin/sh\n", "etc/group": "root:x:0:\n", "etc/shadow": "root:*:1::::::\n", "etc/gshadow": "root:*::\n"}.root(t)
		cmd := exec.Command(useradd, "--prefix", r.Dir(), "-r", "-M", "-N", "witness")
		cmd.Env = []string{"LC_ALL=C", "PATH=/usr/sbin:/usr/bin"}
		out, _ := cmd.CombinedOutput()
		want, _, _ := mustLoginDefs(t, text).Value("SYS_UID_MIN")
		if !bytes.Contains(out, []byte("cannot parse SYS_UID_MIN value: '"+want+"'")) {
			t.Errorf("%.60q: we read %q, useradd says %s", text, want, out)
		}
	}
}

func FuzzLoginDefs(f *testing.F) {
	for _, seed := range []string{
		"USERGROUPS_ENAB no\n", `USERGROUPS_ENAB "no" # x`, "#USERGROUPS_ENAB no", "USERGROUPS_ENAB no\r\nA 1", "USERGROUPS_ENAB \"\"", "\x00",
		"USERGROUPS_ENAB \"", "USERGROUPS_ENAB \" \"", "USERGROUPS_ENAB a\"", " USERGROUPS_ENAB\t\v\n", "A",
		"#" + strings.Repeat("x", getdefBuffer-1) + "USERGROUPS_ENAB no",
	} {
		f.Add([]byte(seed), "yes")
	}
	f.Fuzz(func(t *testing.T, b []byte, value string) {
		d, err := ParseLoginDefs("f", b)
		if err != nil {
			return
		}
		if !bytes.Equal(d.Bytes(), b) {
			t.Fatal("parsing lost bytes")
		}
		old, _, had := d.Value(userGroups)
		if had && expressible(userGroups, old) && !bytes.Equal(d.With(userGroups, old), b) {
			t.Fatalf("With(Value) is not the file: %q", d.With(userGroups, old))
		}
		out := d.With(userGroups, value)
		if out == nil || len(out) > maxLoginDefs || bytes.ContainsFunc(b, func(r rune) bool { return r == '\n' }) && len(b) > getdefBuffer {
			return
		}
		checkWith(t, d, out, value)
	})
}

func checkWith(t *testing.T, d *LoginDefs, out []byte, value string) {
	t.Helper()
	after, err := ParseLoginDefs("f", out)
	if err != nil {
		return // the line grew beyond what is accepted
	}
	longest := 0
	for _, line := range bytes.Split(out, []byte("\n")) {
		longest = max(longest, len(line))
	}
	if longest >= getdefBuffer {
		return // a longer value moves what shadow takes for lines
	}
	if got, _, ok := after.Value(userGroups); !ok || got != value {
		t.Fatalf("With(%q) reads back as %q, %v in %q", value, got, ok, out)
	}
	if back := after.Revert(userGroups, d); value != "" && !bytes.Equal(back, d.Bytes()) {
		t.Fatalf("%q becomes %q and %q on the way back", d.Bytes(), out, back)
	}
}
