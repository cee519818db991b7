// Command packaging builds the programs and writes the packages amp-connector and amp-remediate, deb and rpm, on the nfpm
// library. What goes into a package stands in package.go, maintainer scripts in scripts/, other files in files/.
//
//	go run ./packaging --version 0.1.0 --out dist
//
// The same commit, Go release and version give the same bytes; only signed packages differ (a signature carries its time).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
)

// options is what the command line asks for.
type options struct {
	Version  string
	Out      string
	Archs    []string // GOARCH names
	Formats  []string
	Names    []string // packages
	Binaries string   // directory with ready-made programs, below it one folder a GOARCH; "" builds them
	SignKey  string   // OpenPGP secret key, armored or binary; "" signs nothing
	Pass     string   // its passphrase
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// run is main with its surroundings passed in. It returns 0, 1 where a package could not be made, 2 for a usage error.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	o, err := parse(args, getenv, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(stderr, "packaging:", err)
		return 2
	}
	written, err := write(ctx, o, getenv)
	for _, name := range written {
		fmt.Fprintln(stdout, name)
	}
	if err != nil {
		fmt.Fprintln(stderr, "packaging:", err)
		return 1
	}
	return 0
}

// parse reads the command line. AMP_SIGN_KEY and AMP_SIGN_PASSPHRASE stand in for flags that are better not seen in a process list.
func parse(args []string, getenv func(string) string, stderr io.Writer) (options, error) {
	var o options
	var archs, formats, names string
	fs := flag.NewFlagSet("packaging", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&o.Version, "version", "", "version of the packages, e.g. 0.1.0 or v0.2.0-rc.1 (required)")
	fs.StringVar(&o.Out, "out", "dist", "directory that the packages are written to")
	fs.StringVar(&archs, "arch", "amd64,arm64", "architectures, by their Go names")
	fs.StringVar(&formats, "format", "deb,rpm", "package formats")
	fs.StringVar(&names, "package", "amp-connector,amp-remediate", "packages")
	fs.StringVar(&o.Binaries, "binaries", "", "take the programs from `DIR`/ARCH instead of building them")
	fs.StringVar(&o.SignKey, "sign-key", getenv("AMP_SIGN_KEY"), "sign with the OpenPGP secret key in `FILE` (passphrase in AMP_SIGN_PASSPHRASE)")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	o.Pass = getenv("AMP_SIGN_PASSPHRASE")
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if o.Version == "" {
		return o, errors.New("--version is required")
	}
	for _, list := range []struct {
		flag, given string
		known       []string
		to          *[]string
	}{
		{"--arch", archs, []string{"amd64", "arm64"}, &o.Archs},
		{"--format", formats, []string{"deb", "rpm"}, &o.Formats},
		{"--package", names, []string{"amp-connector", "amp-remediate"}, &o.Names},
	} {
		for _, word := range strings.Split(list.given, ",") {
			if !slices.Contains(list.known, word) {
				return o, fmt.Errorf("%s: %q is not one of %s", list.flag, word, strings.Join(list.known, ", "))
			}
			*list.to = append(*list.to, word)
		}
	}
	return o, nil
}
