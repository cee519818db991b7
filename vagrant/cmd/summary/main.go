// Command summary reads what go test -json wrote, of the machine itself and of guests, and tells what came of it: every
// failure with its output, every skip with its reason, and last "N passed, N failed, N skipped". It exits 1 if something failed.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	junit := flag.String("junit", "", "also write the results as JUnit XML to `FILE`")
	flag.Parse()
	ok, err := summarise(flag.Args(), *junit, os.Getenv("CI") == "true", os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "summary:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

// summarise tells the results of the files. ok is false if nothing passed, a test failed or, on CI, one was skipped for something that
// CI should have.
func summarise(files []string, junit string, ci bool, w io.Writer) (ok bool, err error) {
	if len(files) == 0 {
		return false, errors.New("no files of results")
	}
	var all []result
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return false, err
		}
		found, err := parse(name, f)
		f.Close()
		if err != nil {
			return false, err
		}
		all = append(all, found...)
	}
	if ci {
		refuseSkips(all)
	}
	if junit != "" {
		if err := writeJUnit(junit, all); err != nil {
			return false, err
		}
	}
	anyPassed := false
	for _, r := range all {
		anyPassed = anyPassed || r.Outcome == passed
	}
	return !report(w, all) && anyPassed, nil
}
