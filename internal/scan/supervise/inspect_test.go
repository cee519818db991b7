package supervise

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/ampconnector/amp/internal/scan"
)

const soundStatus = `Name:	ampscansvc
State:	S (sleeping)
Uid:	995	995	995	995
Gid:	993	993	993	993
Groups:	 
NoNewPrivs:	1
CapInh:	0000000000000000
CapPrm:	0000000000000000
CapEff:	0000000000000000
CapBnd:	000001ffffffffff
CapAmb:	0000000000000000
Seccomp:	2
Seccomp_filters:	1
`

const soundLimits = `Limit                     Soft Limit           Hard Limit           Units     
Max cpu time              unlimited            unlimited            seconds   
Max data size             2147483648           2147483648           bytes     
Max stack size            8388608              unlimited            bytes     
`

func TestParseStatus(t *testing.T) {
	sound := subject{uid: 995, gid: 993, filtered: true}
	for _, tt := range []struct {
		name, from, to string
		change         func(*subject)
	}{
		{"sound", "", "", nil},
		{"saved uid is root", "Uid:\t995\t995\t995\t995", "Uid:\t995\t995\t0\t995", func(s *subject) { s.uid = 0 }},
		{"file system uid differs", "Uid:\t995\t995\t995\t995", "Uid:\t995\t995\t995\t7", func(s *subject) { s.uid = 7 }},
		{"gid of root", "Gid:\t993", "Gid:\t0", func(s *subject) { s.gid, s.groups = 0, []uint32{993} }},
		{"further groups", "Groups:\t ", "Groups:\t4 993 27 ", func(s *subject) { s.groups = []uint32{4, 27} }},
		{"permitted", "CapPrm:\t0000000000000000", "CapPrm:\t0000000000000001", func(s *subject) { s.capable = true }},
		{"effective", "CapEff:\t0000000000000000", "CapEff:\t8000000000000000", func(s *subject) { s.capable = true }},
		{"ambient", "CapAmb:\t0000000000000000", "CapAmb:\t0000000000000002", func(s *subject) { s.capable = true }},
		{"before 4.3", "CapAmb:\t0000000000000000\n", "", nil},
		{"new privileges", "NoNewPrivs:\t1", "NoNewPrivs:\t0", func(s *subject) { s.capable = true }},
		{"strict seccomp", "Seccomp:\t2", "Seccomp:\t1", func(s *subject) { s.filtered = false }},
	} {
		want := sound
		if tt.change != nil {
			tt.change(&want)
		}
		got, err := parseStatus([]byte(strings.Replace(soundStatus, tt.from, tt.to, 1)))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v %v, expected %+v", tt.name, got, err, want)
		}
	}
	for _, tt := range []struct{ from, to, want string }{
		{"Uid:\t995\t995\t995\t995", "", "Uid"}, {"995\t995\n", "995\n", "expected 4"}, {"Gid:\t993", "Gid:\tx", "Gid"},
		{"CapEff:\t0000000000000000\n", "", "CapEff"}, {"Groups:\t ", "Groups:\t-1", "Groups"},
	} {
		if _, err := parseStatus([]byte(strings.Replace(soundStatus, tt.from, tt.to, 1))); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q for %q: error %v, expected one with %q", tt.to, tt.from, err, tt.want)
		}
	}
}

func TestParseDataLimit(t *testing.T) {
	for text, want := range map[string]uint64{soundLimits: 2 << 30, "Max data size             unlimited            unlimited            bytes\n": 0} {
		if got, err := parseDataLimit([]byte(text)); err != nil || got != want {
			t.Errorf("%d %v, expected %d", got, err, want)
		}
	}
	for _, text := range []string{"", "Max data size\n", "Max data size x y bytes\n"} {
		if _, err := parseDataLimit([]byte(text)); err == nil {
			t.Errorf("%q is read", text)
		}
	}
}

func TestInspectReadsThisProcess(t *testing.T) {
	s := New(Config{})
	sub, err := s.inspect(os.Getpid())
	if err != nil || !sub.known || int(sub.uid) != os.Getuid() || sub.user == "" || s.resident(os.Getpid()) == 0 {
		t.Errorf("%+v %v", sub, err)
	}
	if _, err := s.inspect(1 << 30); err == nil {
		t.Error("a process that is not there is read")
	}
}

// TestSandboxWithoutMounts: where mounts cannot be made, as in many containers, what is in force instead is told.
func TestSandboxWithoutMounts(t *testing.T) {
	i := &instance{report: scan.Report{Sandbox: scan.SandboxUser | scan.SandboxCapabilities | scan.SandboxPaths | scan.SandboxSystemCalls}}
	if got, want := strings.Join(i.sandbox(), " "), "user capabilities paths system-calls"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestOnlyWhatIsBorneOutIsASandbox(t *testing.T) {
	all := scan.SandboxUser | scan.SandboxCapabilities | scan.SandboxMounts | scan.SandboxNetwork | scan.SandboxSystemCalls | scan.SandboxMemory
	for _, tt := range []struct {
		name    string
		subject subject
		want    string
	}{
		{"sound", subject{known: true, uid: 995, filtered: true}, "user capabilities mounts network system-calls memory"},
		{"nothing of it", subject{known: true, capable: true}, "mounts network memory"},
		{"could not be read", subject{}, "user capabilities mounts network system-calls memory"},
	} {
		i := &instance{report: scan.Report{Sandbox: all}, subject: tt.subject}
		if got := strings.Join(i.sandbox(), " "); got != tt.want {
			t.Errorf("%s: %s", tt.name, got)
		}
	}
}
