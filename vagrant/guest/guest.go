// Package guest is the black-box tests that run inside a guest of the lab, as one static test binary. Its tests are the scripts below
// testdata/positive and testdata/negative; package testscript runs them, with the commands that this package adds. The scripts of a
// guest share one host and run one after the other, in the order of their names.
package guest

import (
	"bufio"
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// headerLines is how many of a script's first lines may hold the guests that it is for.
const headerLines = 10

// guestsOf returns the guests that a script is for, from its line "# guest: NAME[,NAME]".
func guestsOf(name string, script []byte) ([]string, error) {
	s := bufio.NewScanner(bytes.NewReader(script))
	for n := 0; n < headerLines && s.Scan(); n++ {
		list, ok := strings.CutPrefix(s.Text(), "# guest:")
		if !ok {
			continue
		}
		var guests []string
		for _, g := range strings.Split(list, ",") {
			if g = strings.TrimSpace(g); g == "" {
				return nil, fmt.Errorf("%s: line %d: an empty guest in %q", name, n+1, list)
			}
			guests = append(guests, g)
		}
		return guests, nil
	}
	return nil, fmt.Errorf("%s: no line \"# guest: NAME[,NAME]\" among the first %d", name, headerLines)
}

// runsIn reports whether a script for the listed guests runs in guest.
func runsIn(list []string, guest string) bool { return slices.Contains(list, guest) }
