package bpf

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/cilium/ebpf"
)

// A sleep without end is over when enough is there, when it is ended, and when it is closed.
func TestRingSleep(t *testing.T) {
	needsBPF(t)
	var ring *ebpf.Map
	err := withMemlock(func() (err error) {
		ring, err = ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.RingBuf, MaxEntries: ringSmallest})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	s, err := newRingSleep(ring)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		enough bool
		wake   func()
		want   error
	}{
		{"enough is there", true, func() {}, nil},
		{"ended", false, s.end, nil},
		{"ended before", false, func() {}, nil},
		{"closed", false, func() { s.close() }, os.ErrClosed},
	} {
		if tt.name == "closed" {
			s.begin()
		}
		done, asked := make(chan error, 1), make(chan struct{})
		go func() {
			done <- s.sleep(time.Hour, func() bool { close(asked); return tt.enough })
		}()
		if !s.ended.Load() {
			select {
			case <-asked:
			case <-time.After(patience):
				t.Fatalf("%s: it sleeps without asking", tt.name)
			}
		}
		tt.wake()
		select {
		case err := <-done:
			if !errors.Is(err, tt.want) {
				t.Errorf("%s: error %v, expected %v", tt.name, err, tt.want)
			}
		case <-time.After(patience):
			t.Fatalf("%s: it still sleeps", tt.name)
		}
	}
}
