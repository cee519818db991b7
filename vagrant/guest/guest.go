// Package guest is the black-box tests that run inside a guest of the lab, as one static test binary. Its tests are the scripts below
// testdata/positive and testdata/negative; package testscript runs them, with the commands that this package adds. The scripts of a
// guest share one host and run one after the other, in the order of their names.
package guest

import (
	"bufio"
	"bytes"
	"fmt"
	"slices"
	"strconv"
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

// bootOf returns the boot of the guest in which a script runs, from its line "# boot: NUMBER"; without one that is the first.
func bootOf(name string, script []byte) (int, error) {
	s := bufio.NewScanner(bytes.NewReader(script))
	for n := 0; n < headerLines && s.Scan(); n++ {
		text, ok := strings.CutPrefix(s.Text(), "# boot:")
		if !ok {
			continue
		}
		boot, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || boot < 1 || boot > maxBoots {
			return 0, fmt.Errorf("%s: line %d: boot %q, expected 1 to %d", name, n+1, text, maxBoots)
		}
		return boot, nil
	}
	return 1, nil
}

const maxBoots = 9

// runsIn reports whether a script for the listed guests runs in guest.
func runsIn(list []string, guest string) bool { return slices.Contains(list, guest) }
