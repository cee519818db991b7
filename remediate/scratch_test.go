package remediate

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
	"github.com/ampconnector/amp/internal/host"
)

// scratch is a root directory with an account database and the connector's directories, which the real steps may change.
func scratch(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: owners are set and account tools change root")
	}
	if _, err := exec.LookPath("usermod"); err != nil {
		t.Skipf("the account tools are missing: %v", err)
	}
	root := t.TempDir()
	for _, d := range host.Connectors[0].Directories {
		if err := os.MkdirAll(filepath.Join(root, d.Path), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range map[string]string{
		"/opt/cisco/amp/bin/ampdaemon":   "",
		"/opt/cisco/amp/bin/amp-install": "",
		"/etc/os-release":                "ID=debian\nVERSION_ID=12\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
		"/etc/nsswitch.conf":             "passwd: files\ngroup: files\nshadow: files\n",
		"/etc/login.defs":                "USERGROUPS_ENAB no\n",
		"/etc/passwd":                    "root:x:0:0:root:/root:/bin/bash\n",
		"/etc/group":                     "root:x:0:\nusers:x:100:\n",
		"/etc/shadow":                    "root:*:19000:0:99999:7:::\n",
		"/etc/gshadow":                   "root:*::\nusers:!::\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// mend runs "amp-remediate 5 --yes" with the real facts and steps, on a scratch root in the running host's place.
func mend(t *testing.T, root string) (int, string) {
	t.Helper()
	var out bytes.Buffer
	tool := &Tool{Stdout: &out, Stderr: &out, Privileged: true, Yes: true, Language: fault.English, hands: hands{
		Target:   func(_ host.Root, log *slog.Logger) *installer.Host { return installer.NewHost(host.At(root), log) },
		Gather:   func(ctx context.Context, o health.Options) *health.Facts { o.Root = root; return health.Gather(ctx, o) },
		Evaluate: func(context.Context) error { return control.ErrNotRunning },
		Log:      noLog,
	}}
	return tool.Remedy(t.Context(), Selection{IDs: []fault.ID{5}}), out.String()
}

func TestFault5OnScratchRoot(t *testing.T) {
	root := scratch(t)
	sabotage := func(change func() error) {
		t.Helper()
		if err := change(); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name   string
		change func() error
		seen   string
	}{
		{"account missing, USERGROUPS_ENAB no", func() error { return nil }, "the user cisco-amp-scan-svc does not exist"},
		{"login shell", func() error { return usermod(root, "-s", "/bin/bash") }, "has a login shell"},
		{"extra group", func() error { return usermod(root, "-G", "users") }, "is also in users"},
		{"primary group", func() error { return usermod(root, "-g", "users") }, "primary group of cisco-amp-scan-svc is not"},
		{"uid 0", func() error { return usermod(root, "-o", "-u", "0") }, "has uid 0"},
		{"password", func() error { return usermod(root, "-p", "$6$salt$hash") }, "not locked"},
		{"expiry", func() error { return usermod(root, "-e", "2031-01-01") }, "has an expiry date"},
		{"directory mode", func() error { return os.Chmod(filepath.Join(root, "var/log/cisco"), 0o777) }, "/var/log/cisco lets others write"},
		{"directory owner", func() error { return os.Chown(filepath.Join(root, "opt/cisco"), 1000, 1000) }, "/opt/cisco belongs to uid 1000"},
		{"directory gone", func() error { return os.Remove(filepath.Join(root, "opt/cisco/amp/share")) }, "/opt/cisco/amp/share does not exist"},
	} {
		sabotage(c.change)
		code, out := mend(t, root)
		if code != ExitGone || !strings.Contains(out, c.seen) || !strings.Contains(out, "Fault 5 is gone") {
			t.Fatalf("%s: exit %d, want %q in\n%s", c.name, code, c.seen, out)
		}
		if code, out = mend(t, root); code != ExitGone || !strings.Contains(out, "Fault 5 is not there") {
			t.Fatalf("%s, second run: exit %d\n%s", c.name, code, out)
		}
	}
	if b, err := os.ReadFile(filepath.Join(root, "etc/login.defs")); err != nil || string(b) != "USERGROUPS_ENAB no\n" {
		t.Errorf("login.defs is %q, %v", b, err)
	}
}

func usermod(root string, args ...string) error {
	return exec.Command("usermod", append([]string{"-R", root}, append(args, account)...)...).Run()
}
