package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ampconnector/amp/internal/fault"
)

// Limits that a server has where its fields are zero.
const (
	defaultPatience = 5 * time.Second
	defaultWork     = 2 * time.Minute
	defaultAtOnce   = 8
)

// acceptPause is how long no peer is taken where the host is short of descriptors or memory.
const acceptPause = 100 * time.Millisecond

// Server answers requests. Handle carries them out; it is called from several goroutines at once.
type Server struct {
	Handle   func(ctx context.Context, req Request) Answer
	Log      *slog.Logger
	Patience time.Duration // how long a peer may take to send its request, and to take its answer
	Work     time.Duration // how long a request may take to be carried out
	AtOnce   int           // connections of root, and as many again of all others together: they cannot crowd root out

	denied, short seldom
}

// peer is who asks, as the kernel says.
type peer struct{ pid, uid uint32 }

// Serve answers until ctx ends, which closes the listener, and then waits for the requests that are being answered. It returns nil then. That the
// host is short of something ends nothing: whoever can use it up could end the daemon otherwise.
func (s *Server) Serve(ctx context.Context, l *net.UnixListener) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var answering sync.WaitGroup
	defer answering.Wait()
	slots := map[bool]chan struct{}{true: make(chan struct{}, s.atOnce()), false: make(chan struct{}, s.atOnce())}
	for {
		conn, err := l.AcceptUnix()
		if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return nil
		}
		if scarce(err) {
			if untold, ok := s.short.now(time.Now()); ok {
				s.Log.Warn("control: no peer can be taken for now", "error", err, "untold", untold)
			}
			pause(ctx, acceptPause)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", l.Addr(), err)
		}
		from, err := credentials(conn)
		if err != nil {
			s.Log.Warn("control: credentials of a peer", "error", err)
			conn.Close()
			continue
		}
		slot := slots[from.uid == 0]
		select {
		case slot <- struct{}{}:
			answering.Go(func() {
				defer func() { <-slot }()
				s.answer(ctx, conn, from)
			})
		default:
			s.send(conn, Answer{Code: Busy, Error: fmt.Sprintf("%d programs are asking; try again", cap(slot))})
			conn.Close()
		}
	}
}

// scarce reports whether accept(2) failed for what another moment may bring.
func scarce(err error) bool {
	return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.ENOMEM) || errors.Is(err, unix.ECONNABORTED)
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (s *Server) atOnce() int             { return orDefault(s.AtOnce, defaultAtOnce) }
func (s *Server) patience() time.Duration { return orDefault(s.Patience, defaultPatience) }

func orDefault[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// answer reads one request and sends one answer.
func (s *Server) answer(ctx context.Context, conn *net.UnixConn, from peer) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Now()) }) // a silent peer does not hold up the end
	defer stop()
	conn.SetReadDeadline(time.Now().Add(s.patience()))
	line, err := readLine(conn, MaxRequest)
	if err != nil {
		s.send(conn, Answer{Code: BadRequest, Error: err.Error()})
		return
	}
	req, err := decodeRequest(line)
	if err != nil {
		s.send(conn, Answer{Code: BadRequest, Error: err.Error()})
		return
	}
	if verbs[req.Verb].rootOnly && from.uid != 0 {
		if untold, ok := s.denied.now(time.Now()); ok {
			s.Log.Warn("control: denied", "verb", req.Verb, "uid", from.uid, "pid", from.pid, "untold", untold)
		}
		s.send(conn, Answer{Code: Denied, Error: fmt.Sprintf("%s was asked by uid %d", req.Verb, from.uid)})
		return
	}
	ctx, cancel := context.WithTimeout(ctx, orDefault(s.Work, defaultWork))
	defer cancel()
	req.Root = from.uid == 0
	s.send(conn, s.Handle(ctx, req))
}

// send writes an answer. One that is too long, which a host's texts could bring about, goes without its evidence, or with shorter lists.
func (s *Server) send(conn *net.UnixConn, a Answer) {
	line, err := encodeAnswer(a)
	if err != nil {
		s.Log.Error("control: answer", "error", err)
		return
	}
	conn.SetWriteDeadline(time.Now().Add(s.patience()))
	if _, err := conn.Write(line); err != nil {
		s.Log.Debug("control: answer not taken", "error", err)
	}
}

func encodeAnswer(a Answer) ([]byte, error) {
	line, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	if len(line) >= MaxAnswer && a.Status != nil {
		if line, err = json.Marshal(Answer{Code: a.Code, Error: a.Error, Status: a.Status.withoutEvidence()}); err != nil {
			return nil, err
		}
	}
	for len(line) >= MaxAnswer && a.Top != nil && a.Top.listed() {
		a.Top = a.Top.shorter()
		if line, err = json.Marshal(a); err != nil {
			return nil, err
		}
	}
	for len(line) >= MaxAnswer && a.Scan != nil && len(a.Scan.Findings) > 1 {
		shorter := *a.Scan
		shorter.Findings = shorter.Findings[:len(shorter.Findings)/2] // the next answer has the others
		a.Scan = &shorter
		if line, err = json.Marshal(a); err != nil {
			return nil, err
		}
	}
	if len(line) >= MaxAnswer {
		return json.Marshal(Answer{Code: Incomplete, Error: fmt.Sprintf("the answer has %d bytes, more than a message may have", len(line))})
	}
	return append(line, '\n'), nil
}

// withoutEvidence is a copy that keeps of each fault what a summary needs, and no names of files. The evidence stays readable in the ledger.
func (s Status) withoutEvidence() *Status {
	faults := make([]Fault, len(s.Faults))
	for i, f := range s.Faults {
		f.Evidence, f.Causes = []fault.Evidence{}, nil
		faults[i] = f
	}
	s.Faults, s.Scan = faults, s.Scan.Public()
	return &s
}

// credentials asks the kernel who connected.
func credentials(conn *net.UnixConn) (peer, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return peer{}, err
	}
	var cred *unix.Ucred
	var optErr error
	if err := raw.Control(func(fd uintptr) {
		cred, optErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return peer{}, err
	}
	if optErr != nil {
		return peer{}, fmt.Errorf("SO_PEERCRED: %w", optErr)
	}
	return peer{uint32(cred.Pid), cred.Uid}, nil
}
