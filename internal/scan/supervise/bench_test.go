package supervise

import (
	"context"
	"io"
	"log/slog"
	"os"
	"sync"
	"testing"

	"github.com/ampconnector/amp/internal/scan"
	"github.com/ampconnector/amp/internal/scan/verdicts"
)

// instant is a service that answers at once: what is left is the supervisor's own work.
type instant struct {
	answers chan scan.Answer
	dead    chan struct{}
	die     sync.Once
}

func (*instant) PID() int { return os.Getpid() }
func (*instant) Report(ctx context.Context) (scan.Report, error) {
	return ready(ctx, StartOptions{})
}

func (i *instant) Send(r scan.Request, _ *os.File) error {
	i.answers <- scan.Answer{ID: r.ID, Result: scan.Clean}
	return nil
}

func (i *instant) Receive() (scan.Answer, error) {
	select {
	case a := <-i.answers:
		return a, nil
	case <-i.dead:
		return scan.Answer{}, io.EOF
	}
}

func (i *instant) Kill() { i.die.Do(func() { close(i.dead) }) }

func (i *instant) Wait() Exit {
	<-i.dead
	return Exit{}
}

func BenchmarkScan(b *testing.B) {
	s := New(Config{
		Log: slog.New(slog.DiscardHandler), Memory: &fakeMemory{aside: map[verdicts.Identity]string{}},
		Start: func(context.Context, StartOptions) (Service, error) {
			return &instant{answers: make(chan scan.Answer, 100), dead: make(chan struct{})}, nil
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.Run(ctx); err != nil {
			b.Error(err)
		}
	})
	f, err := os.Open("bench_test.go")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Scan(ctx, Job{File: f, Path: "/bench"}); err != nil {
			b.Fatal(err)
		}
	}
	cancel()
	running.Wait()
}
