package selinux

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestSemoduleThatLeavesAProcess: what semodule has started and what holds its output open keeps nobody waiting, and is no failure.
func TestSemoduleThatLeavesAProcess(t *testing.T) {
	dir := t.TempDir()
	tool, left := filepath.Join(dir, "semodule"), filepath.Join(dir, "left")
	if err := os.WriteFile(tool, []byte("#!/bin/sh\nsleep 1000 &\necho $! > "+left+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	locked, err := semodule(t.Context(), tool, nil)
	b, rerr := os.ReadFile(left)
	pid, perr := strconv.Atoi(strings.TrimSpace(string(b)))
	if err := errors.Join(rerr, perr); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Errorf("nothing was left behind: %v", err)
	}
	if locked || err != nil {
		t.Errorf("locked %v, %v", locked, err)
	}
}
