package policy

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Schedule is a scan that begins by the clock.
type Schedule struct {
	Name             string // of at most MaxScheduleName bytes; one of a kind in a policy
	On               When
	Delay            time.Duration // that the beginning is put off at most, by another part of it on each host, so that not all begin at once
	RunMissed        bool          // one that came due while the daemon did not run is made up for; else it is left out
	CrossFileSystems bool          // what is mounted below the paths is scanned too
	Paths            []string      // from the root, files or folders with all below them
}

// Bounds of schedules.
const (
	MaxSchedules     = 16
	MaxScheduleName  = 32   // bytes
	MaxScheduleDelay = 1439 // minutes: less than a day, so that a daily one still begins each day
	MaxSchedulePaths = 64   // of one schedule
)

// Equal compares two schedules.
func (s Schedule) Equal(t Schedule) bool {
	return s.Name == t.Name && s.On == t.On && s.Delay == t.Delay && s.RunMissed == t.RunMissed && s.CrossFileSystems == t.CrossFileSystems && slices.Equal(s.Paths, t.Paths)
}

// When is a time of day on some days of the week, by the host's local time.
type When struct {
	Days         Weekdays
	Hour, Minute int
}

// Weekdays is a set of days of the week.
type Weekdays uint8

// Daily are all days of the week.
const Daily Weekdays = 1<<7 - 1

// Has reports whether a day is in the set.
func (w Weekdays) Has(d time.Weekday) bool { return w&(1<<d) != 0 }

// dayNames are those of time.Weekday, in its order.
var dayNames = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// weekOrder is the order in which days are written.
var weekOrder = []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday, time.Saturday, time.Sunday}

// String is the form that ParseWhen reads.
func (w When) String() string {
	days := "daily"
	if w.Days != Daily {
		var names []string
		for _, d := range weekOrder {
			if w.Days.Has(d) {
				names = append(names, dayNames[d])
			}
		}
		days = strings.Join(names, ",")
	}
	return fmt.Sprintf("%s %02d:%02d", days, w.Hour, w.Minute)
}

var whenForm = regexp.MustCompile(`^([a-z]{3,5}(?:,[a-z]{3}){0,6}) ([01][0-9]|2[0-3]):([0-5][0-9])$`)

// ParseWhen reads "daily 03:00" or "mon,thu 22:30".
func ParseWhen(text string) (When, error) {
	const expected = `expected "daily HH:MM", or days of mon, tue, wed, thu, fri, sat, sun with commas between them, as in "mon,thu 22:30"`
	m := whenForm.FindStringSubmatch(text)
	if m == nil {
		return When{}, fmt.Errorf("%.60q: %s", text, expected)
	}
	w := When{Hour: number(m[2]), Minute: number(m[3])}
	if m[1] == "daily" {
		w.Days = Daily
		return w, nil
	}
	for name := range strings.SplitSeq(m[1], ",") {
		d := slices.Index(dayNames, name)
		if d < 0 {
			return When{}, fmt.Errorf("%.60q: %s", text, expected)
		}
		if w.Days.Has(time.Weekday(d)) {
			return When{}, fmt.Errorf("%.60q: %s twice", text, name)
		}
		w.Days |= 1 << d
	}
	return w, nil
}

// number is the value of two digits.
func number(digits string) int { return 10*int(digits[0]-'0') + int(digits[1]-'0') }

// scheduleName is what a name may be: it stands in logs and in files of the daemon.
var scheduleName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// schedule reads <schedule name="…" on="…" delay="…" missed="run|skip" cross-file-systems="…"> with its <path name="…"/> and appends it.
func (p *parser) schedule(start *xml.StartElement, into *[]Schedule) error {
	if len(*into) == MaxSchedules {
		return p.errorf("<schedule>: the policy has %d before it, expected at most %d in all", len(*into), MaxSchedules)
	}
	attributes, err := p.attributes(start, "name", "on", "delay", "missed", "cross-file-systems")
	if err != nil {
		return err
	}
	s := Schedule{Name: attributes["name"]}
	switch {
	case len(s.Name) > MaxScheduleName || !scheduleName.MatchString(s.Name):
		return p.errorf("<schedule name=%.60q>: expected 1 to %d letters, digits, dots, hyphens and underscores, the first a letter or a digit", s.Name, MaxScheduleName)
	case slices.ContainsFunc(*into, func(o Schedule) bool { return o.Name == s.Name }):
		return p.errorf("<schedule name=%q> a second time", s.Name)
	}
	if s.On, err = ParseWhen(attributes["on"]); err != nil {
		return p.errorf("<schedule on=…>: %w", err)
	}
	minutes := 0
	if err := p.number(start, attributes, "delay", "minutes", 0, MaxScheduleDelay, &minutes); err != nil {
		return err
	}
	s.Delay = time.Duration(minutes) * time.Minute
	switch missed := cmp.Or(attributes["missed"], "skip"); missed {
	case "run", "skip":
		s.RunMissed = missed == "run"
	default:
		return p.errorf("<schedule missed=%q>: expected run or skip", missed)
	}
	if err := p.boolean(start, attributes, "cross-file-systems", &s.CrossFileSystems); err != nil {
		return err
	}
	line := p.line
	if err := p.content(start, []string{"path"}, func(e *xml.StartElement) error { return p.schedulePath(e, &s) }); err != nil {
		return err
	}
	if len(s.Paths) == 0 {
		p.line = line
		return p.errorf("<schedule name=%q>: has no <path>, expected 1 to %d", s.Name, MaxSchedulePaths)
	}
	*into = append(*into, s)
	return nil
}

// schedulePath reads <path name="/srv"/>. Unlike that of an exclusion it may be the root, and is not bounded by what the kernel's side holds.
func (p *parser) schedulePath(e *xml.StartElement, s *Schedule) error {
	attributes, err := p.attributes(e, "name")
	if err != nil {
		return err
	}
	name := attributes["name"]
	switch {
	case len(s.Paths) == MaxSchedulePaths:
		return p.errorf("<path>: the schedule has %d before it, expected at most %d in all", len(s.Paths), MaxSchedulePaths)
	case !wholePath(name):
		return p.errorf("<path name=%.80q>: expected %s", name, aWholePath)
	case slices.Contains(s.Paths, name):
		return p.errorf("<path name=%.80q> a second time", name)
	}
	s.Paths = append(s.Paths, name)
	return p.empty(e)
}

// MaxScannedPath is what a path of a schedule may have, and others in a policy, in bytes: PATH_MAX of Linux without the byte at its end.
const MaxScannedPath = 4095

// wholePath reports whether a path is as aWholePath says.
func wholePath(name string) bool {
	return path.IsAbs(name) && path.Clean(name) == name && len(name) <= MaxScannedPath && utf8.ValidString(name) && !strings.ContainsFunc(name, unicode.IsControl)
}

var aWholePath = fmt.Sprintf(`one from the root of at most %d bytes, without "//", "/./", "/../" and a slash at its end`, MaxScannedPath)
