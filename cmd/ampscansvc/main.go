// Command ampscansvc scans files for the daemon, which starts it, inside a sandbox, with a socket as descriptor 3. It is not for people.
package main

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/ampconnector/amp/internal/scan"
	"github.com/ampconnector/amp/internal/scan/service"
)

// version is set by the linker.
var version = "devel"

// Exit statuses. 2 is the Go runtime's own, when it finds no memory, or a fault of ours.
const (
	exitStart    = 1 // the start failed; the daemon was told why
	exitUsage    = 3 // wrong arguments, or not started by the daemon
	exitProtocol = 4 // the connection failed, or what came was no request
)

// socket is the descriptor that the daemon gave.
const socket = 3

// heap bounds what Go takes beside the engine, whose memory it does not see, in bytes.
const heap = 32 << 20

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	var (
		c        = service.Config{Open: library}
		made     uint
		show     bool
		flags    = flag.NewFlagSet("ampscansvc", flag.ContinueOnError)
		complain = func(err error) int {
			fmt.Fprintln(os.Stderr, "ampscansvc:", err)
			return exitUsage
		}
	)
	flags.StringVar(&c.Options.Definitions, "definitions", "", "directory of definition files")
	flags.StringVar(&c.Options.Scratch, "scratch", "", "directory in which archives are unpacked")
	flags.IntVar(&c.Workers, "workers", 2, "scans that run side by side")
	flags.BoolVar(&c.Check, "check", false, "load and test the definitions, report, and end")
	flags.UintVar(&made, "sandbox", 0, "what the sandbox is made of, a set of bits")
	flags.BoolVar(&show, "version", false, "show the version and end")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return complain(err)
	case show:
		fmt.Fprintln(os.Stdout, "ampscansvc", version)
		return 0
	case flags.NArg() > 0, c.Options.Definitions == "", c.Options.Scratch == "", c.Workers < 1, c.Workers > maxWorkers:
		return complain(fmt.Errorf("expected --definitions DIR --scratch DIR, and 1 to %d workers", maxWorkers))
	}
	conn, err := scan.NewConn(socket)
	if err != nil {
		return complain(fmt.Errorf("not started by the daemon: %w", err))
	}
	c.Sandbox = scan.Sandbox(made)
	c.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	return serve(conn, c)
}

// maxWorkers bounds the threads that scan, each of which has a stack of its own.
const maxWorkers = 64

func serve(conn *scan.Conn, c service.Config) int {
	// The engine allocates next to nothing in Go.
	debug.SetGCPercent(25)
	debug.SetMemoryLimit(heap)
	if err := service.DieOfSignals(); err != nil {
		c.Log.Warn("faults will not end this process by their signal", "error", err)
	}
	switch err := service.Run(conn, c); {
	case errors.Is(err, service.ErrStart):
		return exitStart
	case err != nil:
		c.Log.Error("ended", "error", err)
		return exitProtocol
	}
	return 0
}
