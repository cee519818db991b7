package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/ampconnector/amp/vagrant/lab"
)

// guestTests is the folder of the tests that run in guests.
const guestTests = "vagrant/guest"

// errTests says that guests ran and tests in them failed; the summary names them.
var errTests = errors.New("tests failed in guests")

// test runs the guest tests in each chosen guest, one after the other: two would share the machine's cores and gain nothing.
func test(ctx context.Context, f *flags) error {
	guests, err := f.tested()
	if err != nil {
		return err
	}
	files, err := f.packages()
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("%s: no packages; make packages builds them", f.dist)
	}
	var images []lab.Image // before the tests are built, so that minutes later they are still what their scripts were written for
	for _, g := range guests {
		img, err := f.image(ctx, g)
		if err != nil {
			return err
		}
		images = append(images, img)
	}
	scratch, err := os.MkdirTemp("", "amp-lab-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	if err := addTests(ctx, files, filepath.Join(scratch, "guest.test")); err != nil {
		return err
	}
	var failed error
	for _, img := range images {
		err := f.testIn(ctx, img, lab.Payload{Files: files})
		if err != nil && (ctx.Err() != nil || !errors.Is(err, errTests) && !errors.Is(err, lab.ErrGuestDied)) {
			return err
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

// tested are the named guests, or all that tests run in.
func (f *flags) tested() ([]lab.Guest, error) {
	if len(f.guests) > 0 {
		return f.chosen(f.guests)
	}
	m, err := lab.LoadMatrix(f.matrix)
	return m.Tested(), err
}

// addTests builds the static test binary and adds it and the scripts to files.
func addTests(ctx context.Context, files map[string]string, binary string) error {
	build := exec.CommandContext(ctx, "go", "test", "-c", "-o", binary, "./"+guestTests)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("go test -c ./%s: %w", guestTests, err)
	}
	files["guest.test"] = binary
	scripts, err := filepath.Glob(filepath.Join(guestTests, "testdata", "*", "*.txtar"))
	if err != nil {
		return err
	}
	for _, s := range scripts {
		rel, err := filepath.Rel(guestTests, s)
		if err != nil {
			return err
		}
		files[rel] = s
	}
	return nil
}

// testIn boots one guest, tells on standard error how its tests end, and writes the stream of go test -json to standard output and to
// results.json beside the console's log.
func (f *flags) testIn(ctx context.Context, img lab.Image, p lab.Payload) error {
	g := img.Guest
	dir := filepath.Join(f.out, g.Name)
	limit := g.Timeout * 9 / 10 // so that the tests end by themselves, with a trace, before the guest is ended
	p.Run = fmt.Sprintf("cd /media/amplab && exec ./guest.test -test.v=test2json -test.run '^TestGuest$' -test.timeout %s -guest %s -scripts %s 2>&1\n",
		limit, g.Name, shellQuote(f.run))
	fmt.Fprintf(os.Stderr, "guest %s: booting (%s; console: %s)\n", g.Name, g.Purpose, filepath.Join(dir, "serial.log"))
	plain, err := os.Create(filepath.Join(dir, "results.txt"))
	if err != nil {
		return err
	}
	defer plain.Close()
	var text bytes.Buffer
	status, err := lab.Boot(ctx, img, p, dir, io.MultiWriter(&text, plain, &progress{guest: g.Name}))
	if err != nil {
		// What is missing must fail in the summary too.
		fmt.Fprintf(&text, "\x16--- FAIL: TestGuest/boot (0.00s)\n    %s\n\x16FAIL\n", strings.ReplaceAll(err.Error(), "\n", " "))
	}
	if werr := keepStream(context.WithoutCancel(ctx), filepath.Join(dir, "results.json"), g.Name, text.Bytes()); werr != nil {
		return errors.Join(err, werr)
	}
	if err == nil && status != 0 {
		return fmt.Errorf("%s: %w; %s", g.Name, errTests, plain.Name())
	}
	return err
}

// keepStream keeps a guest's output as the stream of go test -json, and writes it to standard output.
func keepStream(ctx context.Context, path, guest string, text []byte) error {
	convert := exec.CommandContext(ctx, "go", "tool", "test2json", "-t", "-p", "guest/"+guest)
	convert.Stdin = bytes.NewReader(text)
	convert.Stderr = os.Stderr
	out, err := convert.Output()
	if err != nil {
		return fmt.Errorf("go tool test2json: %w", err)
	}
	if err := os.WriteFile(path, out, 0o644); err != nil {
		return err
	}
	_, err = os.Stdout.Write(out)
	return err
}

// progress shows the lines of a test's output that say how a test ended.
type progress struct {
	guest string
	rest  []byte
}

func (p *progress) Write(b []byte) (int, error) {
	p.rest = append(p.rest, b...)
	for {
		advance, line, _ := bufio.ScanLines(p.rest, false)
		if advance == 0 {
			return len(b), nil
		}
		text := strings.TrimLeft(string(line), " \x16")
		if name, ok := strings.CutPrefix(text, "--- "); ok {
			fmt.Fprintf(os.Stderr, "guest %s: %s\n", p.guest, name)
		}
		p.rest = p.rest[advance:]
	}
}

// shellQuote makes one word of s for sh.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
