package lab

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"
)

// keyScreens are those that shim's key manager (MokManager 15.8 to 16.1) shows one after the other, by words that only this one of them has, and what a person
// types there who wants a key enrolled. %s is the password.
var keyScreens = []struct{ words, keys string }{
	{"Press any key to perform MOK management", " "}, // for ten seconds; then the request is gone
	{"Enroll hash from disk", down + enter},          // the menu: "Enroll MOK" is below "Continue boot"
	{"View key 0", down + enter},                     // "Continue" is below
	{"Enroll the key", down + enter},                 // "Yes" is below "No"
	{"Password", "%s" + enter},
	{"Reboot", enter},
}

const (
	down  = "\x1b[B"
	enter = "\r"
)

const (
	screenPatience = 6 * time.Minute // for the first one the system shuts down and the firmware starts
	keyPause       = time.Second     // the firmware waits a moment after ESC for what may belong to it, and loses what comes while it draws
	maxScreen      = 64 << 10        // bytes that are kept of what has come and was not asked for
)

// console is a guest's serial line.
type console struct {
	line  io.ReadWriter
	log   io.Writer
	pause time.Duration
	more  chan struct{} // something came, or the line has ended

	mu    sync.Mutex
	came  []byte
	ended error
}

// newConsole takes up a line. All that comes is read at once and goes to log, whether anyone asks or not: the guest waits for it.
func newConsole(line io.ReadWriter, log io.Writer) *console {
	c := &console{line: line, log: log, pause: keyPause, more: make(chan struct{}, 1)}
	go c.read()
	return c
}

func (c *console) read() {
	b := make([]byte, 4<<10)
	for {
		n, err := c.line.Read(b)
		if _, werr := c.log.Write(b[:n]); werr != nil && err == nil {
			err = werr
		}
		c.mu.Lock()
		c.came = append(c.came, b[:n]...)
		c.came = c.came[max(0, len(c.came)-maxScreen):]
		c.ended = err
		c.mu.Unlock()
		select {
		case c.more <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// take gives what has come, and forgets it if it has the words.
func (c *console) take(words string) (text string, has bool, ended error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	text = plainText(c.came)
	if has = strings.Contains(text, words); has {
		c.came = nil
	}
	return text, has, c.ended
}

// wait waits until the words have come.
func (c *console) wait(ctx context.Context, words string) error {
	ctx, cancel := context.WithTimeout(ctx, screenPatience)
	defer cancel()
	for {
		text, has, ended := c.take(words)
		switch {
		case has:
			return nil
		case ended != nil:
			return fmt.Errorf("waited for %q on the console: %w; the last that came: %q", words, ended, text[max(0, len(text)-400):])
		}
		select {
		case <-c.more:
		case <-ctx.Done():
			return fmt.Errorf("waited for %q on the console: %w; the last that came: %q", words, ctx.Err(), text[max(0, len(text)-400):])
		}
	}
}

// controls are the sequences by which a firmware draws.
var controls = regexp.MustCompile(`\x1b\[[0-9;=?]*[A-Za-z]`)

func plainText(b []byte) string { return controls.ReplaceAllString(string(b), "\n") }

// enrol goes through the screens of shim's key manager as a person does who wants the requested key enrolled.
func (c *console) enrol(ctx context.Context, password string) error {
	for _, s := range keyScreens {
		if err := c.wait(ctx, s.words); err != nil {
			return err
		}
		keys := s.keys
		if strings.Contains(keys, "%s") {
			keys = fmt.Sprintf(keys, password)
		}
		if err := c.press(ctx, keys); err != nil {
			return err
		}
	}
	return nil
}

// press sends keys, with a pause before each that is no letter.
func (c *console) press(ctx context.Context, keys string) error {
	for len(keys) > 0 {
		n := 1
		if strings.HasPrefix(keys, down) {
			n = len(down)
		}
		wait := c.pause
		if keys[0] > ' ' && keys[0] <= '~' {
			wait /= 10
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
		if _, err := io.WriteString(c.line, keys[:n]); err != nil {
			return err
		}
		keys = keys[n:]
	}
	return nil
}
