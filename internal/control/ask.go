package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"

	"github.com/ampconnector/amp/internal/fault"
)

// ErrNotRunning is in the chain of the error of Ask when nobody listens on the socket.
var ErrNotRunning = fault.Errorf(fault.Text{EN: "the daemon is not running", JA: "デーモンは動作していません"})

// Ask sends one request and waits for its answer until ctx ends. An answer that says no is an error, of the Err variables of this
// package, with the daemon's own words; with ErrIncomplete the answer holds a status too.
func Ask(ctx context.Context, socket string, req Request) (Answer, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return Answer{}, &fault.Error{
			Text: fault.Text{EN: "%s (%s); to start it: amp-install start", JA: "%s (%s)。開始するには: amp-install start"}.With(fault.ErrorText(ErrNotRunning), err.Error()),
			Err:  errors.Join(ErrNotRunning, err),
		}
	}
	if err != nil {
		return Answer{}, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	a, err := exchange(conn, req)
	if ctx.Err() != nil {
		err = fmt.Errorf("ask the daemon for %s: %w", req.Verb, context.Cause(ctx))
	}
	return a, err
}

func exchange(conn net.Conn, req Request) (Answer, error) {
	line, err := json.Marshal(req)
	if err != nil {
		return Answer{}, err
	}
	// A daemon that is too busy answers before it has read anything and closes: a write that finds it closed is not the last word.
	_, writeErr := conn.Write(append(line, '\n'))
	line, err = readLine(conn, MaxAnswer)
	if err != nil {
		return Answer{}, errors.Join(writeErr, fmt.Errorf("%s: answer: %w", conn.RemoteAddr(), err))
	}
	a, err := decodeAnswer(line)
	if err != nil {
		return Answer{}, fmt.Errorf("%s: answer: %w", conn.RemoteAddr(), err)
	}
	if a.Code != "" {
		return a, fmt.Errorf("%w: %s", codes[a.Code], a.Error)
	}
	if !a.has(req.Verb) {
		return Answer{}, fmt.Errorf("%s: answer: it has nothing of what %s asks for", conn.RemoteAddr(), req.Verb)
	}
	return a, nil
}

// has reports whether the answer holds what a verb asks for.
func (a *Answer) has(v Verb) bool {
	switch v {
	case ReadTop:
		return a.Top != nil
	case StartScan, FollowScan, StopScan:
		return a.Scan != nil
	}
	return a.Status != nil
}
