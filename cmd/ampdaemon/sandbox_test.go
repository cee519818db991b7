package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/scan"
	"github.com/ampconnector/amp/internal/scan/sandbox"
)

// serviceEnv is the folder with the program and the definitions of a scan service that a confined daemon is to start.
const serviceEnv = "AMP_TEST_SERVICE"

// scanFromConfined is a daemon that gives up rights and then starts the scan service, kills it while it hangs, and says what it saw.
func scanFromConfined(folder string) error {
	// As ProtectSystem=strict of the unit: what is there is read-only.
	if err := readOnly(); err != nil {
		return err
	}
	// As MemoryDenyWriteExecute= of the unit; children inherit it. Before Linux 6.3 there is no such thing.
	if err := unix.Prctl(unix.PR_SET_MDWE, unix.PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
		return err
	}
	if err := confine(); err != nil {
		return err
	}
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	p, err := sandbox.Start(context.Background(), sandbox.Options{
		Executable: executable, Service: filepath.Join(folder, "ampscansvc"), Definitions: filepath.Join(folder, "definitions"),
		User: 59_912, Group: 59_912, Memory: 256 << 20, Log: os.Stdout,
	})
	if err != nil {
		return err
	}
	m, err := p.Conn.ReceiveMessage()
	if err != nil || m.Report == nil {
		return fmt.Errorf("%+v: %w", m, err)
	}
	fmt.Printf("stage %v sandbox %#x %s\n", m.Report.Stage, uint32(m.Report.Sandbox), m.Report.Error)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID))
	if err != nil {
		return err
	}
	fmt.Println(string(status))
	if err := p.Kill(); err != nil {
		return err
	}
	state, err := p.Wait()
	fmt.Println(state)
	return err
}

// readOnly makes the root's file system read-only. The process has mounts of its own.
func readOnly() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("/", "/", "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	return unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")
}

// What confine leaves is enough to shut the scan service in, and to end it.
func TestConfinedDaemonStartsTheScanService(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: others can neither change the user nor mount")
	}
	folder, err := os.MkdirTemp("/var/tmp", "amp-confined-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	sample := []byte(`*H+H$!ELIF-TSET-SURIVITNA-` + `DRADNATS-RACIE$}7)CC7)^P(45XZP\4[PA@%P!O5X`)
	slices.Reverse(sample)
	if err := errors.Join(os.Chmod(folder, 0o755), os.Mkdir(filepath.Join(folder, "definitions"), 0o755),
		os.WriteFile(filepath.Join(folder, "definitions", "eicar.ndb"), fmt.Appendf(nil, "Eicar-Test:0:*:%x\n", sample), 0o644)); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"build", "-o", filepath.Join(folder, "ampscansvc"), "../ampscansvc"},
		{"test", "-c", "-o", filepath.Join(folder, "daemon"), "."},
	} {
		build := exec.Command("go", args...)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	cmd := exec.Command(filepath.Join(folder, "daemon"))
	cmd.Env = append(os.Environ(), serviceEnv+"="+folder)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if strings.Contains(string(out), "none of these libraries") {
		t.Skip("needs libclamav")
	}
	all := scan.SandboxUser | scan.SandboxCapabilities | scan.SandboxMounts | scan.SandboxNetwork | scan.SandboxSystemCalls | scan.SandboxMemory
	for _, want := range []string{fmt.Sprintf("stage ready sandbox %#x", uint32(all)), "CapBnd:\t0000000000000000\n", "signal: killed"} {
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%v, expected %q:\n%s", err, want, out)
		}
	}
}
