// Command completions writes the shells' completion scripts of our commands, as the commands themselves print them, into the folder that it
// is started in: go generate ./packaging/completions. The packages carry them.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
)

//go:generate go run .

// commands are the programs that persons type, by their folders below cmd/.
var commands = []string{"amp-install", "amp-remediate", "ampcli"}

var shells = []string{"bash", "fish", "zsh"}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := write(ctx, "."); err != nil {
		fmt.Fprintln(os.Stderr, "completions:", err)
		os.Exit(1)
	}
}

// write makes one file COMMAND.SHELL for each command and shell in dir.
func write(ctx context.Context, dir string) error {
	bin, err := os.MkdirTemp("", "completions-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(bin)
	args := []string{"build", "-o", bin + string(filepath.Separator)}
	for _, name := range commands {
		args = append(args, "github.com/ampconnector/amp/cmd/"+name)
	}
	if _, err := output(exec.CommandContext(ctx, "go", args...)); err != nil {
		return err
	}
	for _, name := range commands {
		for _, shell := range shells {
			script, err := output(exec.CommandContext(ctx, filepath.Join(bin, name), "completion", shell))
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, name+"."+shell), script, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// output runs a command and returns what it prints; what it complains of is part of the error.
func output(cmd *exec.Cmd) ([]byte, error) {
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(said.String()))
	}
	return out, nil
}
