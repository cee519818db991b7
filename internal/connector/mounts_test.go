package connector

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/ownmounts"
)

// TestMountsAreSeen mounts over a watched path, elsewhere, and takes it away again, in a mount namespace of its own.
func TestMountsAreSeen(t *testing.T) {
	ownmounts.Run(t, func(t *testing.T) {
		dir := t.TempDir()
		shown, share, elsewhere := filepath.Join(dir, "btf", "vmlinux"), filepath.Join(dir, "share", "6.1.0.btf"), filepath.Join(dir, "elsewhere")
		for _, name := range []string{filepath.Dir(shown), filepath.Dir(share), elsewhere} {
			if err := os.Mkdir(name, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(shown, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		seen := make(chan string, 100)
		follow, err := watchPaths(t.Context(), func(what string) { seen <- what })
		if err != nil {
			t.Fatal(err)
		}
		hidden := filepath.Dir(shown)
		defer func() {
			for _, name := range []string{shown, hidden, filepath.Dir(share), elsewhere} {
				_ = unix.Unmount(name, unix.MNT_DETACH) // of most nothing is left
			}
		}()
		tmpfs := func(on string) func() error { return func() error { return unix.Mount("none", on, "tmpfs", 0, "") } }
		for _, change := range []struct {
			name string
			do   func() error
			want string
		}{
			{"another mount hides a path", tmpfs(hidden), shown},
			{"and shows it again", func() error { return unix.Unmount(hidden, 0) }, shown},
			{"a file over it", func() error { return unix.Mount("/proc/version", shown, "", unix.MS_BIND, "") }, shown},
			{"and away", func() error { return unix.Unmount(shown, 0) }, shown},
			{"a share comes with a path", func() error { return unix.Mount(hidden, filepath.Dir(share), "", unix.MS_BIND, "") }, filepath.Join(filepath.Dir(share), "vmlinux")},
			{"a mount elsewhere", tmpfs(elsewhere), ""},
		} {
			follow([]string{shown, share, filepath.Join(filepath.Dir(share), "vmlinux")})
			for len(seen) > 0 {
				<-seen
			}
			if err := change.do(); err != nil {
				t.Fatalf("%s: %v", change.name, err)
			}
			if change.want != "" {
				if !await(seen, change.want) {
					t.Errorf("%s: no word of %s", change.name, change.want)
				}
				continue
			}
			select {
			case what := <-seen:
				t.Errorf("%s: word of %s", change.name, what)
			case <-time.After(5 * mountPause):
			}
		}
	})
}

func TestMountsAreWatchedUntilTheEnd(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	done := make(chan error, 1)
	began := make(chan struct{})
	go func() { done <- watchMounts(ctx, func() { close(began) }, func() {}) }()
	<-began
	end()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("it goes on")
	}
}
