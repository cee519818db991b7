// Package control is what programs say to the daemon: one request and one answer over a unix socket, who may ask what, and the
// status that the daemon answers with. It knows nothing of how the daemon comes to its answers.
package control

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Socket is where the daemon listens.
const Socket = "/run/cisco-amp/control.sock"

// Bounds of one message, in bytes, the newline that ends it included.
const (
	MaxRequest = 512 << 10 // MaxScanPaths paths, whose bytes JSON may write as six each
	MaxAnswer  = 256 << 10
)

// Verb is what is asked of the daemon.
type Verb string

const (
	ReadStatus Verb = "status"        // what the daemon knows; evaluates nothing
	Evaluate   Verb = "evaluate"      // read the facts again, judge them, choose the source again; the answer comes when that is done
	ReadTop    Verb = "top"           // who makes the events; files and peers for root only
	StartScan  Verb = "scan"          // scan paths; the answer comes at once
	FollowScan Verb = "scan-progress" // how far it has come
	StopScan   Verb = "scan-stop"     // end it
	// RestartScan ends the scan service, starts it at once and scans again the files at which it ended; ends before that no longer count.
	// The answer comes when the service is ready or its start has failed, and those files are through.
	RestartScan Verb = "restart-scan"
	Reload      Verb = "reload" // open the logs anew, read the policy again, then as evaluate
)

// verbs says who may ask what.
var verbs = map[Verb]struct{ rootOnly bool }{
	ReadStatus:  {rootOnly: false},
	ReadTop:     {rootOnly: false},
	Evaluate:    {rootOnly: true},
	RestartScan: {rootOnly: true},
	Reload:      {rootOnly: true},
	StartScan:   {rootOnly: true}, // the daemon may read what the asking user may not
	FollowScan:  {rootOnly: true},
	StopScan:    {rootOnly: true},
}

// Request is one line of JSON.
type Request struct {
	Verb Verb         `json:"verb"`
	Scan *ScanRequest `json:"scan,omitempty"` // of StartScan, FollowScan and StopScan
	Root bool         `json:"-"`              // root asks, as the kernel says
}

// Code tells programs why a request was not answered with a status.
type Code string

const (
	Denied     Code = "denied"      // the asking user may not ask this
	BadRequest Code = "bad-request" // not one line of JSON with a verb that the daemon knows
	Busy       Code = "busy"        // too many programs are asking at once
	NoScan     Code = "no-scan"     // there is no scan of that id, or not any more
	Incomplete Code = "incomplete"  // the request was carried out in part; Status is what came of it
)

// Answer is one line of JSON.
type Answer struct {
	Code   Code     `json:"code,omitempty"`  // empty: the request was carried out
	Error  string   `json:"error,omitempty"` // for a person, in English, when Code is not empty
	Status *Status  `json:"status,omitempty"`
	Top    *Top     `json:"top,omitempty"`  // of ReadTop, and then there is no status
	Scan   *ScanRun `json:"scan,omitempty"` // of StartScan, FollowScan and StopScan, likewise
}

// Errors of Ask, by the code of the answer.
var (
	ErrDenied     = errors.New("only root may ask this of the daemon")
	ErrBadRequest = errors.New("the daemon does not know this request")
	ErrBusy       = errors.New("the daemon is answering too many programs at once")
	ErrIncomplete = errors.New("the daemon carried this out only in part")
)

var codes = map[Code]error{Denied: ErrDenied, BadRequest: ErrBadRequest, Busy: ErrBusy, Incomplete: ErrIncomplete, NoScan: ErrNoScan}

// decodeRequest reads a request from the bytes of its line, without the newline.
func decodeRequest(line []byte) (Request, error) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	var r Request
	if err := d.Decode(&r); err != nil {
		return Request{}, fmt.Errorf("expected one line of JSON with a verb: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return Request{}, errors.New("expected the end of the line after the request")
	}
	if _, ok := verbs[r.Verb]; !ok {
		return Request{}, fmt.Errorf("verb %.40q: expected status, top, evaluate, reload, restart-scan, scan, scan-progress or scan-stop", r.Verb)
	}
	switch r.Verb {
	case StartScan, FollowScan, StopScan:
		if err := r.Scan.check(r.Verb); err != nil {
			return Request{}, err
		}
	}
	return r, nil
}

// decodeAnswer reads an answer from the bytes of its line. Fields that this program does not know are passed over: the daemon may be newer.
func decodeAnswer(line []byte) (Answer, error) {
	var a Answer
	if err := json.Unmarshal(line, &a); err != nil {
		return Answer{}, err
	}
	if a.Code == "" && a.Status == nil && a.Top == nil && a.Scan == nil {
		return Answer{}, errors.New("neither what was asked for nor an error")
	}
	if _, ok := codes[a.Code]; a.Code != "" && !ok {
		return a, fmt.Errorf("unknown code %.40q: %s", a.Code, a.Error)
	}
	return a, nil
}

// readLine reads up to a newline, which it leaves out, or to the end of what r gives. More than limit bytes without one is an error.
func readLine(r io.Reader, limit int) ([]byte, error) {
	line, err := bufio.NewReaderSize(io.LimitReader(r, int64(limit)), 4096).ReadBytes('\n')
	switch {
	case err == nil:
		return line[:len(line)-1], nil
	case err != io.EOF:
		return nil, err
	case len(line) == limit:
		return nil, fmt.Errorf("line longer than %d bytes", limit)
	case len(line) == 0:
		return nil, io.ErrUnexpectedEOF
	}
	return line, nil
}
