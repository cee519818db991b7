package main

import (
	"context"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"
)

// Control sequences of terminals, ECMA-48 and xterm's.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l" // another screen buffer, without a cursor
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	clearLine   = "\x1b[K"
	clearRest   = "\x1b[J"
)

// screen is a terminal that is drawn on anew and anew.
type screen struct {
	in, out *os.File
	period  time.Duration
}

// show draws what lines gives for the size of the window, until q or Ctrl-C is typed or ctx ends. It leaves the terminal as it was.
func (s *screen) show(ctx context.Context, lines func(ctx context.Context, columns, rows int) []string) error {
	before, err := term.MakeRaw(int(s.in.Fd()))
	if err != nil {
		return err
	}
	defer term.Restore(int(s.in.Fd()), before)
	if _, err := s.out.WriteString(enterScreen); err != nil {
		return err
	}
	defer s.out.WriteString(leaveScreen)

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		s.untilQuit()
		stop()
	}()
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	defer signal.Stop(resized)
	again := time.NewTicker(s.period)
	defer again.Stop()
	for {
		if err := s.draw(ctx, lines); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-resized:
		case <-again.C:
		}
	}
}

// untilQuit reads keys until one says that it is enough, or no more come.
func (s *screen) untilQuit() {
	var keys [64]byte
	for {
		n, err := s.in.Read(keys[:])
		const ctrlC, ctrlD = "\x03", "\x04"
		if err != nil || n == 0 || strings.ContainsAny(string(keys[:n]), "qQ"+ctrlC+ctrlD) {
			return
		}
	}
}

func (s *screen) draw(ctx context.Context, lines func(ctx context.Context, columns, rows int) []string) error {
	columns, rows := s.size()
	text := lines(ctx, columns, rows)
	if ctx.Err() != nil { // what was to be drawn may be half of it
		return nil //nolint:nilerr // an end that was asked for
	}
	_, err := s.out.WriteString(home + strings.Join(text, clearLine+"\r\n") + clearLine + clearRest)
	return err
}

// size is that of the window. Serial consoles have none and are taken for what terminals used to be.
func (s *screen) size() (columns, rows int) {
	columns, rows, err := term.GetSize(int(s.out.Fd()))
	if err != nil || columns <= 0 || rows <= 0 {
		return 80, 24
	}
	return columns, rows
}
