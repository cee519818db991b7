package remediate

import (
	"slices"
	"strings"
	"testing"

	"github.com/ampconnector/amp/internal/fault"
)

func TestSelect(t *testing.T) {
	for _, c := range []struct {
		args []string
		ids  []fault.ID
		all  bool
		err  string
	}{
		{nil, []fault.ID{5, 6, 7, 8, 9, 11, 16, 18, 19}, true, ""},
		{[]string{"all"}, []fault.ID{5, 6, 7, 8, 9, 11, 16, 18, 19}, true, ""},
		{[]string{"19", "5", "19"}, []fault.ID{5, 19}, false, ""},
		{[]string{"5", "all"}, []fault.ID{5, 6, 7, 8, 9, 11, 16, 18, 19}, true, ""},
		{[]string{"99"}, nil, false, "there is no fault 99: known are 5, 6, 7, 8, 9, 11, 16, 18, 19"},
		{[]string{"5", "0"}, nil, false, "there is no fault 0"},
		{[]string{"-5"}, nil, false, "not a fault number"},
		{[]string{"5.0"}, nil, false, "not a fault number"},
		{[]string{"bundle"}, nil, false, "not a fault number"},
		{[]string{""}, nil, false, "not a fault number"},
		{[]string{"99999999999999999999"}, nil, false, "not a fault number"},
	} {
		s, err := Select(c.args)
		switch {
		case c.err != "":
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("Select(%q): error %v, want %q", c.args, err, c.err)
			}
		case err != nil || !slices.Equal(s.IDs, c.ids) || s.All != c.all:
			t.Errorf("Select(%q) = %v, %v, want %v, all %v", c.args, s, err, c.ids, c.all)
		}
	}
}

func TestCausesFirst(t *testing.T) {
	for _, c := range [][2][]fault.ID{
		{{5, 19}, {5, 19}},
		{{18, 19}, {19, 18}},
		{{8, 9, 11, 16}, {11, 16, 8, 9}},
		{{6}, {6}}, // a cause that was not selected is not added
	} {
		if got := causesFirst(c[0]); !slices.Equal(got, c[1]) {
			t.Errorf("causesFirst(%v) = %v, want %v", c[0], got, c[1])
		}
	}
	all, _ := Select(nil)
	ordered := causesFirst(all.IDs)
	if len(ordered) != len(all.IDs) {
		t.Errorf("%v has not the faults of %v", ordered, all.IDs)
	}
	for i, id := range ordered {
		entry, _ := fault.Lookup(id)
		for _, cause := range entry.CausedBy {
			if slices.Index(ordered, cause) > i {
				t.Errorf("fault %d stands before its cause %d", id, cause)
			}
		}
	}
}
