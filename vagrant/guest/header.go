package guest

import (
	"bufio"
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// headerLines is how many of a script's first lines may hold its header.
const headerLines = 10

// maxBoots bounds how often a guest is booted.
const maxBoots = 9

// header is what a script says about where it runs.
type header struct {
	guests  []string // "# guest: NAME[,NAME]"
	nightly []string // "# nightly: NAME[,NAME]": guests in which it runs only where guests or scripts are named, since make test has its time
	boot    int      // "# boot: NUMBER": the boot of the guest in which it runs; the first without such a line
}

// headerOf reads the header of the script called name. It names at least one guest, and none twice.
func headerOf(name string, script []byte) (header, error) {
	h := header{boot: 1}
	s := bufio.NewScanner(bytes.NewReader(script))
	for n := 1; n <= headerLines && s.Scan(); n++ {
		field, value, _ := strings.Cut(s.Text(), ":")
		var err error
		switch field {
		case "# guest":
			err = addGuests(&h.guests, value)
		case "# nightly":
			err = addGuests(&h.nightly, value)
		case "# boot":
			h.boot, err = strconv.Atoi(strings.TrimSpace(value))
			if err != nil || h.boot < 1 || h.boot > maxBoots {
				err = fmt.Errorf("boot %q, expected 1 to %d", value, maxBoots)
			}
		}
		if err != nil {
			return h, fmt.Errorf("%s: line %d: %w", name, n, err)
		}
	}
	all := h.all()
	if len(all) == 0 {
		return h, fmt.Errorf("%s: no line \"# guest: NAME[,NAME]\" or \"# nightly: NAME[,NAME]\" among the first %d", name, headerLines)
	}
	slices.Sort(all)
	if len(slices.Compact(slices.Clone(all))) < len(all) {
		return h, fmt.Errorf("%s: a guest is named twice: %s", name, strings.Join(all, ", "))
	}
	return h, nil
}

func addGuests(to *[]string, list string) error {
	for g := range strings.SplitSeq(list, ",") {
		if g = strings.TrimSpace(g); g == "" {
			return fmt.Errorf("an empty guest in %q", list)
		}
		*to = append(*to, g)
	}
	return nil
}

// all are the guests that the script can run in.
func (h header) all() []string { return slices.Concat(h.guests, h.nightly) }

// runsIn reports whether the script runs in a boot of a guest; nightly is whether what make test leaves out is asked for too.
func (h header) runsIn(guest string, boot int, nightly bool) bool {
	return h.boot == boot && (slices.Contains(h.guests, guest) || nightly && slices.Contains(h.nightly, guest))
}
