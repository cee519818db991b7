package lab

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// keyManager is a person's view of shim's key manager: each screen comes when the one before got its keys.
func keyManager(line net.Conn, screens []string, want []string) error {
	io.WriteString(line, "[  OK  ] Reached target reboot\r\n")
	for i, screen := range screens {
		if _, err := io.WriteString(line, screen); err != nil {
			return err
		}
		got := make([]byte, len(want[i]))
		if _, err := io.ReadFull(line, got); err != nil {
			return err
		}
		if !bytes.Equal(got, []byte(want[i])) {
			return errors.New(screen + " got " + string(got))
		}
	}
	return nil
}

var (
	shownScreens = []string{
		"\x1b[2J\x1b[01;01H\x1b[0mPress any key to perform MOK management\x1b[10;20HBooting in 10 seconds",
		"\x1b[2JPerform MOK management\x1b[10;40HContinue boot\x1b[11;40HEnroll MOK\x1b[12;40HEnroll key from disk\x1b[13;40HEnroll hash from disk",
		"\x1b[2J[Enroll MOK]\x1b[10;40HView key 0\x1b[11;40HContinue", "Enroll the key(s)?\x1b[10;40HNo\x1b[11;40HYes", "Password: ", "Perform MOK management\x1b[10;40HReboot",
	}
	typedKeys = []string{" ", "\x1b[B\r", "\x1b[B\r", "\x1b[B\r", "secret\r", "\r"}
)

func TestEnrol(t *testing.T) {
	here, there := net.Pipe()
	defer here.Close()
	done := make(chan error, 1)
	go func() {
		done <- keyManager(there, shownScreens, typedKeys)
		there.Close()
	}()
	c := newConsole(here, io.Discard)
	c.pause = time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := c.enrol(ctx, "secret"); err != nil {
		t.Error(err)
	}
	here.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A screen that does not come is named, with what came.
func TestEnrolEnds(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(context.CancelFunc, net.Conn)
		want error
	}{
		"time is over":     {func(cancel context.CancelFunc, _ net.Conn) { cancel() }, context.Canceled},
		"the guest is off": {func(_ context.CancelFunc, line net.Conn) { line.Close() }, io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			here, there := net.Pipe()
			defer here.Close()
			go func() {
				keyManager(there, shownScreens[:1], typedKeys)
				io.WriteString(there, "System is booting")
				c.end(cancel, there)
			}()
			console := newConsole(here, io.Discard)
			console.pause = time.Millisecond
			err := console.enrol(ctx, "secret")
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), `"Enroll hash from disk"`) || !strings.Contains(err.Error(), "System is booting") {
				t.Errorf("error %v, expected %v, the screen that was waited for and what came", err, c.want)
			}
		})
	}
}
