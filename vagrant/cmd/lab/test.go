package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/ampconnector/amp/vagrant/lab"
)

// guestTests is the folder of the tests that run in guests.
const guestTests = "vagrant/guest"

// errTests says that guests ran and tests in them failed; the summary names them.
var errTests = errors.New("tests failed in guests")

// atOnce is how many guests run side by side: an emulated guest keeps little more than one core busy.
const atOnce = 2

// test runs the guest tests in each chosen guest.
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
	scratch, err := os.MkdirTemp("", "amp-lab-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	if err := errors.Join(addScripts(ctx, files, scratch), f.addRooms(ctx, files, scratch, guests), addFakeEngine(ctx, files, scratch)); err != nil {
		return err
	}
	return sideBySide(guests, func(g lab.Guest) error {
		img, err := f.image(ctx, g)
		if err != nil {
			return err
		}
		p := lab.Payload{Files: maps.Clone(files)}
		if err := f.addModules(ctx, p.Files, filepath.Join(f.out, g.Name), img); err != nil {
			return err
		}
		return f.testIn(ctx, img, p)
	})
}

// sideBySide does something for each guest in turn, for some at once. A guest whose tests fail keeps none from its turn.
func sideBySide(guests []lab.Guest, do func(lab.Guest) error) error {
	errs := make([]error, len(guests))
	turns := make(chan int)
	var lanes sync.WaitGroup
	for range min(atOnce, len(guests)) {
		lanes.Go(func() {
			for i := range turns {
				errs[i] = do(guests[i])
			}
		})
	}
	for i := range guests {
		turns <- i
	}
	close(turns)
	lanes.Wait()
	return errors.Join(errs...)
}

// tested are the named guests, or those that make test runs in, or all that tests run in.
func (f *flags) tested() ([]lab.Guest, error) {
	if len(f.guests) > 0 {
		return f.chosen(f.guests)
	}
	m, err := lab.LoadMatrix(f.matrix)
	return m.Tested(f.all), err
}

// nightly reports whether scripts run also in the guests in which make test leaves them out.
func (f *flags) nightly() bool { return f.all || f.run != "" || len(f.guests) > 0 }

// kernelReports is what scripts ask whether the guest's kernel has reported an error.
const kernelReports = "kernel-reports.sh"

// addScripts builds the program that runs scripts in a guest, and adds it and them to files, with what they call.
func addScripts(ctx context.Context, files map[string]string, scratch string) error {
	if err := addTests(ctx, files, scratch, guestTests, "guest.test"); err != nil {
		return err
	}
	files[kernelReports] = filepath.Join(guestTests, kernelReports)
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

// addTests builds the static test binary of a folder and adds it to files.
func addTests(ctx context.Context, files map[string]string, scratch, folder, name string) error {
	binary := filepath.Join(scratch, strings.ReplaceAll(name, "/", "-"))
	build := exec.CommandContext(ctx, "go", "test", "-c", "-o", binary, "./"+folder)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("go test -c ./%s: %w", folder, err)
	}
	files[name] = binary
	return nil
}

// addFakeEngine builds the scan service with an engine that dies on files that say so, and adds it to files. No package has it.
func addFakeEngine(ctx context.Context, files map[string]string, scratch string) error {
	const name = "ampscansvc.fake"
	binary := filepath.Join(scratch, name)
	build := exec.CommandContext(ctx, "go", "build", "-tags", "fakeengine", "-o", binary, "./cmd/ampscansvc")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("go build -tags fakeengine ./cmd/ampscansvc: %w", err)
	}
	files[name] = binary
	return nil
}

// testIn boots one guest, tells on standard error how its tests end, and writes the stream of go test -json to standard output and to
// results.json beside the console's log.
func (f *flags) testIn(ctx context.Context, img lab.Image, p lab.Payload) error {
	g := img.Guest
	dir := filepath.Join(f.out, g.Name)
	run, err := f.commands(g, p.Files)
	if err != nil {
		return err
	}
	p.Run = run
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
	if werr := keepStreams(context.WithoutCancel(ctx), filepath.Join(dir, "results.json"), "guest/"+g.Name, text.Bytes()); werr != nil {
		return errors.Join(err, werr)
	}
	if err == nil && status != 0 {
		return fmt.Errorf("%s: %w; %s", g.Name, errTests, plain.Name())
	}
	return err
}

// commands are what a guest runs: its scripts, and the tests of its rooms.
func (f *flags) commands(g lab.Guest, files map[string]string) (string, error) {
	only, err := regexp.Compile(f.run)
	if err != nil {
		return "", fmt.Errorf("--run: %w", err)
	}
	limit := g.Timeout * 9 / 10 // so that the tests end by themselves, with a trace, before the guest is ended
	lines := []string{"cd /media/amplab", "status=0", "boot=1"}
	if g.HasFirmware() {
		lines = append(lines, countBoots, `[ $boot -eq 1 ] || { echo; echo "`+roomLine+`boot-$boot"; }`)
	}
	for name := range files {
		if script, ok := strings.CutPrefix(name, "testdata/"); ok && only.MatchString(strings.TrimSuffix(script, ".txtar")) {
			lines = append(lines, fmt.Sprintf("./guest.test -test.v=test2json -test.run '^TestGuest$' -test.timeout %s -guest %s -nightly=%t -boot $boot -scripts %s 2>&1 || status=$?",
				limit, g.Name, f.nightly(), shellQuote(f.run)))
			break
		}
	}
	for _, room := range g.RoomsOf(f.nightly()) {
		if only.MatchString(roomFile(room)) {
			lines = append(lines, "echo; echo "+shellQuote(roomLine+room), fmt.Sprintf("sh ./room.sh %s -test.v=test2json -test.run %s -test.timeout %s 2>&1 || status=$?",
				roomFile(room), shellQuote(roomTests[room]), limit))
		}
	}
	if g.HasFirmware() {
		lines = append(lines, bootAgain)
	}
	return strings.Join(append(lines, "exit $status"), "\n") + "\n", nil
}

// The parts of what a guest runs that may be booted again.
const (
	countBoots = `counter=/var/lib/amp-lab.boots; [ ! -e $counter ] || boot=$(($(cat $counter) + 1)); echo $boot >$counter`
	// A script leaves the password for the firmware's key screen, or an empty file where nobody is to answer that. Where a script has failed the guest ends.
	bootAgain = `if [ $status -eq 0 ] && [ -e /run/amp-lab.reboot ]; then
	echo; echo "` + lab.RebootLine + ` $(cat /run/amp-lab.reboot)"
	systemctl --no-block reboot
	sleep 600
fi`
)

// keepStreams keeps what a guest said as streams of go test -json, and writes them to standard output: that of its scripts, under the
// guest's name, and those of its rooms and of its scripts after it was booted again.
func keepStreams(ctx context.Context, path, name string, text []byte) error {
	var all []byte
	for i, part := range bytes.Split(append([]byte("\n"), text...), []byte("\n"+roomLine)) {
		of := name
		if room, rest, _ := bytes.Cut(part, []byte("\n")); i > 0 {
			of, part = name+"/"+string(room), rest
		}
		stream, err := testStream(ctx, of, part)
		if err != nil {
			return err
		}
		all = append(all, stream...)
	}
	if err := os.WriteFile(path, all, 0o644); err != nil {
		return err
	}
	_, err := os.Stdout.Write(all) // in one piece, so that streams of guests do not mix
	return err
}

// testStream is the stream of go test -json of a package's test output.
func testStream(ctx context.Context, name string, text []byte) ([]byte, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, nil
	}
	convert := exec.CommandContext(ctx, "go", "tool", "test2json", "-t", "-p", name)
	convert.Stdin = bytes.NewReader(text)
	convert.Stderr = os.Stderr
	out, err := convert.Output()
	if err != nil {
		return nil, fmt.Errorf("go tool test2json: %w", err)
	}
	return out, nil
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
		name, ok := strings.CutPrefix(text, "--- ")
		// A room's tests have hundreds of parts; of these only what failed is worth a line.
		if ok && (!strings.HasPrefix(name, "PASS: ") || strings.HasPrefix(name, "PASS: TestGuest") || !strings.Contains(name, "/")) {
			fmt.Fprintf(os.Stderr, "guest %s: %s\n", p.guest, name)
		}
		p.rest = p.rest[advance:]
	}
}

// shellQuote makes one word of s for sh.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
