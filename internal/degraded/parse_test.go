package degraded

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// recorded are what a kernel 6.18 said, as it was read.
func recorded(t testing.TB, pattern string) (all [][]byte) {
	t.Helper()
	names, _ := filepath.Glob(filepath.Join("testdata", pattern))
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	if len(all) == 0 {
		t.Fatalf("no %s in testdata", pattern)
	}
	return all
}

// events reads records to their end.
func events(b []byte) (all []fanotifyRecord, err error) {
	for len(b) > 0 {
		var r fanotifyRecord
		n, e := r.next(b)
		if e != nil {
			err = e
		} else {
			all = append(all, r)
		}
		if n == 0 {
			break
		}
		b = b[n:]
	}
	return all, err
}

func TestFanotifyRecords(t *testing.T) {
	for name, tt := range map[string]struct {
		file string
		has  func(fanotifyRecord) bool
	}{
		"rename": {"fanotify-rename.bin", func(r fanotifyRecord) bool {
			return r.mask == unix.FAN_RENAME && string(r.entry.name) == "a" && string(r.target.name) == "b" && len(r.file) > 0
		}},
		"rename of a directory": {"fanotify-rename.bin", func(r fanotifyRecord) bool {
			return r.mask == unix.FAN_RENAME|unix.FAN_ONDIR && string(r.entry.name) == "d" && string(r.target.name) == "f"
		}},
		"created": {"fanotify-rename.bin", func(r fanotifyRecord) bool {
			return r.mask&unix.FAN_CREATE != 0 && string(r.entry.name) == "a" && r.file != nil && r.pid != 0 && r.fd == unix.FAN_NOFD
		}},
		"moved":      {"fanotify-moves.bin", func(r fanotifyRecord) bool { return r.mask&unix.FAN_MOVED_FROM != 0 && string(r.entry.name) == "a" }},
		"descriptor": {"fanotify-descriptors.bin", func(r fanotifyRecord) bool { return r.mask&unix.FAN_CLOSE_WRITE != 0 && r.fd > 0 && !r.entry.known() }},
	} {
		t.Run(name, func(t *testing.T) {
			all, err := events(recorded(t, tt.file)[0])
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range all {
				if tt.has(r) {
					return
				}
			}
			t.Errorf("not among %d records", len(all))
		})
	}
}

// Of damage each cut and each changed byte is an error or a record, and never more than was read.
func TestFanotifyDamage(t *testing.T) {
	whole := recorded(t, "fanotify-rename.bin")[0]
	var r fanotifyRecord
	size, err := r.next(whole)
	if err != nil {
		t.Fatal(err)
	}
	for n := range size {
		if got, err := r.next(whole[:n]); err == nil || got != 0 {
			t.Errorf("cut to %d bytes: size %d, error %v", n, got, err)
		}
	}
	for _, at := range []int{0, 4, 6, fanotifyHead + 2, fanotifyHead + infoHead + fsidSize} {
		b := append([]byte(nil), whole[:size]...)
		b[at] = 0xff
		if _, err := r.next(b); err == nil {
			t.Errorf("byte %d changed: no error", at)
		}
	}
	b := append([]byte(nil), whole[:size]...)
	b[fanotifyHead] = 64 // a type that no kernel has
	if _, err := r.next(b); err != nil {
		t.Errorf("unknown type: %v", err)
	}
}

func TestProcEvents(t *testing.T) {
	for name, want := range map[string]procWhat{"fork": procFork, "exec": procExec, "uid": procUID, "ptrace": procPtrace, "exit": procExit} {
		var e procEvent
		b := recorded(t, "connector-"+name+".bin")[0]
		if ok, err := e.parse(b); !ok || err != nil || e.what != want || e.pid == 0 || e.time <= 0 {
			t.Errorf("%s: %+v %v %v", name, e, ok, err)
		}
		for n := range offData + 4 {
			if ok, err := e.parse(b[:n]); ok || err == nil {
				t.Errorf("%s cut to %d bytes: no error", name, n)
			}
		}
	}
}

func TestDiag(t *testing.T) {
	m, rest, err := nextMessage(recorded(t, "sockdiag-destroyed-tcp.bin")[0])
	if err != nil || len(rest) != 0 || m.kind != unix.SOCK_DIAG_BY_FAMILY {
		t.Fatal(m.kind, len(rest), err)
	}
	var s diagSocket
	if err := s.parse(m.payload); err != nil || s.protocol != unix.IPPROTO_TCP || s.state != tcpClose || !s.local.Addr().IsLoopback() || s.cookie == 0 {
		t.Errorf("%+v %v", s, err)
	}
	if s.sent != 5 && s.received < 5 {
		t.Errorf("%d sent, %d received, expected that 5 went one way", s.sent, s.received)
	}
	m, _, _ = nextMessage(recorded(t, "sockdiag-destroyed-udp6.bin")[0])
	if err := s.parse(m.payload); err != nil || s.protocol != unix.IPPROTO_UDP || !s.local.Addr().Is6() || s.remote.Port() == 0 {
		t.Errorf("%+v %v", s, err)
	}
	n := 0
	done, damaged, err := readDump(recorded(t, "sockdiag-dump.bin")[0], unix.IPPROTO_TCP, func(s *diagSocket) { n++ })
	if n == 0 || damaged != 0 || err != nil {
		t.Errorf("%d sockets, done %v, %d damaged, %v", n, done, damaged, err)
	}
}

func TestMountinfo(t *testing.T) {
	const text = `22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw,discard
41 27 0:33 /@home /home rw,relatime shared:9 - btrfs /dev/sdb rw,subvol=/@home
52 27 0:40 / /mnt/with\040space\134 rw - nfs4 server:/x rw
60 27 0:41 / /srv/a rw - fuse.sshfs x rw
61 27 254:0 /var/lib/x /srv/b rw - ext4 /dev/vda rw
70 27 0:45 / /tail rw - tmpfs`
	mounts, err := parseMountinfo(text)
	want := []mount{
		{22, unix.Mkdev(0, 21), "/", "/proc", "proc"},
		{27, unix.Mkdev(254, 0), "/", "/", "ext4"},
		{41, unix.Mkdev(0, 33), "/@home", "/home", "btrfs"},
		{52, unix.Mkdev(0, 40), "/", `/mnt/with space\`, "nfs4"},
		{60, unix.Mkdev(0, 41), "/", "/srv/a", "fuse.sshfs"},
		{61, unix.Mkdev(254, 0), "/var/lib/x", "/srv/b", "ext4"},
	}
	if err != nil || !reflect.DeepEqual(mounts, want) {
		t.Errorf("got %+v, error %v", mounts, err)
	}
	systems := group(mounts)
	if len(systems) != 4 || !reflect.DeepEqual(systems[0].points, []string{"/", "/srv/b"}) {
		t.Errorf("grouped %d, the first %+v", len(systems), systems[0])
	}
	if careOf("fuse.sshfs") != remote || careOf("xfs") != watched || careOf("proc") != pseudo {
		t.Error("types are not known")
	}
	for _, line := range []string{"\n", "1 2 3\n", "a 1 0:1 / / rw - x y z\n", "1 1 0 / / rw - x y z\n", "1 1 0:1 / relative rw - x y z\n", "1 1 0:1 / / rw x y z\n"} {
		if mounts, err := parseMountinfo(line); err == nil || len(mounts) != 0 || !strings.Contains(err.Error(), "line 1") {
			t.Errorf("%q: %+v, error %v", line, mounts, err)
		}
	}
}

func FuzzFanotify(f *testing.F) {
	for _, b := range recorded(f, "fanotify-*.bin") {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r fanotifyRecord
		for len(b) > 0 {
			n, err := r.next(b)
			if n < 0 || n > len(b) {
				t.Fatalf("record of %d bytes in %d", n, len(b))
			}
			if err == nil && r.entry.known() && (len(r.entry.name) == 0 || len(r.entry.name) > nameMost) {
				t.Fatalf("name %q", r.entry.name)
			}
			if r.file != nil {
				r.file.handle()
				r.file.fsid()
			}
			if n == 0 {
				return
			}
			b = b[n:]
		}
	})
}

func FuzzProcEvent(f *testing.F) {
	for _, b := range recorded(f, "connector-*.bin") {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var e procEvent
		if ok, err := e.parse(b); ok && err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzSockDiag(f *testing.F) {
	for _, b := range recorded(f, "sockdiag-*.bin") {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		readDump(b, unix.IPPROTO_TCP, func(s *diagSocket) {
			if !s.local.Addr().IsValid() || !s.remote.Addr().IsValid() {
				t.Fatalf("%+v", s)
			}
		})
	})
}

func FuzzMountinfo(f *testing.F) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err == nil {
		f.Add(string(b))
	}
	f.Add("52 27 0:40 / /mnt/with\\040space\\1 rw - nfs4 server:/x rw\n")
	f.Fuzz(func(t *testing.T, text string) {
		mounts, _ := parseMountinfo(text)
		for _, s := range group(mounts) {
			if len(s.points) == 0 || s.points[0][0] != '/' {
				t.Fatalf("%+v", s)
			}
		}
	})
}

func FuzzFdinfo(f *testing.F) {
	f.Add("pos:\t0\nfanotify flags:4 event-flags:8000\nfanotify sdev:fe00000 mflags:0 mask:10000 ignored_mask:0\n")
	f.Fuzz(func(t *testing.T, text string) {
		var u FanotifyUser
		u.read(strings.NewReader(text))
		if u.Marks > strings.Count(text, "\n")+1 {
			t.Fatalf("%+v", u)
		}
	})
}
