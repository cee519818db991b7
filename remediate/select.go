package remediate

import (
	"slices"
	"strconv"
	"strings"

	"github.com/ampconnector/amp/internal/fault"
)

// Selection is the faults that a person named.
type Selection struct {
	IDs []fault.ID // in order of ID, each once
	All bool       // "all", or nothing was named
}

// Select reads fault numbers from the command line. No arguments and "all" are the whole catalogue.
func Select(args []string) (Selection, error) {
	s := Selection{All: len(args) == 0}
	for _, arg := range args {
		if arg == "all" {
			s.All = true
			continue
		}
		n, err := strconv.ParseUint(arg, 10, 16)
		if err != nil {
			return s, errNotANumber.wrong(arg, numbers())
		}
		if _, ok := fault.Lookup(fault.ID(n)); !ok {
			return s, errNoSuchFault.wrong(n, numbers())
		}
		s.IDs = append(s.IDs, fault.ID(n))
	}
	if s.All {
		s.IDs = s.IDs[:0]
		for _, f := range fault.All() {
			s.IDs = append(s.IDs, f.ID)
		}
	}
	slices.Sort(s.IDs)
	s.IDs = slices.Compact(s.IDs)
	return s, nil
}

// numbers lists the numbers of the catalogue for a person.
func numbers() string {
	var list []string
	for _, f := range fault.All() {
		list = append(list, strconv.Itoa(int(f.ID)))
	}
	return strings.Join(list, ", ")
}

// causesFirst orders faults so that each comes after those of the same list that cause it, and by ID otherwise.
func causesFirst(ids []fault.ID) []fault.ID {
	var ordered []fault.ID
	seen := map[fault.ID]bool{}
	var visit func(fault.ID)
	visit = func(id fault.ID) {
		if seen[id] {
			return
		}
		seen[id] = true
		entry, _ := fault.Lookup(id)
		for _, cause := range entry.CausedBy {
			visit(cause)
		}
		if slices.Contains(ids, id) {
			ordered = append(ordered, id)
		}
	}
	for _, id := range ids {
		visit(id)
	}
	return ordered
}
