// Package service is what ampscansvc does: it opens the engine, gives up what it needs no longer, loads definitions, proves that they
// find what they should, says so, and then scans what it is sent until the daemon closes the connection. Each file may have been made to
// harm it; that it dies of one is planned for, in the daemon.
package service

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/ampconnector/amp/internal/scan"
	"github.com/ampconnector/amp/internal/scan/engine"
)

// Library is what opens: libclamav, or what stands in for it in tests.
type Library interface {
	Version() string
	Load(engine.Options) (Engine, error)
}

// Engine scans, for several goroutines at once. The answer has no ID yet.
type Engine interface {
	Scan(*os.File, scan.Limits) scan.Answer
	Signatures() uint32
}

// Config is how the service runs.
type Config struct {
	Open    func() (Library, error) // errors are of type *engine.Error
	Options engine.Options
	Sandbox scan.Sandbox // what whoever started the service says to have made; what can be looked at is looked at
	Workers int          // scans that run side by side
	Check   bool         // end after the report
	Log     *slog.Logger
}

// ErrStart is what Run returns where the start failed; the daemon has been told why.
var ErrStart = errors.New("the start failed")

// Run serves a connection until the daemon closes it, which is no error. It gives up rights of the whole process.
func Run(conn *scan.Conn, c Config) error {
	scanner, report := start(c)
	log := c.Log.With("stage", report.Stage.String())
	if report.Stage == scan.StageReady {
		log.Info("started", "engine", report.Engine, "signatures", report.Signatures, "workers", report.Workers)
	} else {
		log.Error("start failed", "error", report.Error, "file", report.File)
	}
	if err := conn.SendReport(report); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	switch {
	case report.Stage != scan.StageReady:
		return ErrStart
	case c.Check:
		return nil
	}
	return serve(conn, scanner, c.Workers)
}

// serve scans until the connection ends, and does not wait for scans that run still: nobody wants their answers.
func serve(conn *scan.Conn, scanner Engine, workers int) error {
	ended := make(chan error, workers)
	for range workers {
		go func() { ended <- work(conn, scanner) }()
	}
	err := <-ended
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func work(conn *scan.Conn, scanner Engine) error {
	for {
		request, file, err := conn.Receive()
		if err != nil {
			return fmt.Errorf("request: %w", err)
		}
		answer := scanner.Scan(file, request.Limits)
		answer.ID = request.ID
		file.Close()
		if err := conn.SendAnswer(answer); err != nil {
			return fmt.Errorf("answer: %w", err)
		}
	}
}
