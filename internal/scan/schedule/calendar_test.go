package schedule

import (
	"fmt"
	"testing"
	"time"
	_ "time/tzdata" // the same zones on every host

	"github.com/ampconnector/amp/internal/policy"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func when(t *testing.T, text string) policy.When {
	t.Helper()
	w, err := policy.ParseWhen(text)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func instant(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestNext(t *testing.T) {
	for _, c := range []struct{ name, on, zone, after, want string }{
		{"later today", "daily 03:00", "UTC", "2026-11-29T02:59:59Z", "2026-11-29T03:00:00Z"},
		{"not at once again", "daily 03:00", "UTC", "2026-11-29T03:00:00Z", "2026-11-30T03:00:00Z"},
		{"a moment late", "daily 03:00", "UTC", "2026-11-29T03:00:00.5Z", "2026-11-30T03:00:00Z"},
		{"over the end of a year", "daily 00:00", "UTC", "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z"},
		{"a leap day", "daily 12:00", "UTC", "2028-02-28T12:00:00Z", "2028-02-29T12:00:00Z"},
		{"one day of the week", "sun 03:00", "UTC", "2026-11-29T03:00:00Z", "2026-12-06T03:00:00Z"}, // a Sunday
		{"several days", "mon,thu 22:30", "UTC", "2026-11-30T22:30:00Z", "2026-12-03T22:30:00Z"},
		{"by local time", "sun 03:00", "Asia/Tokyo", "2026-11-28T17:00:00Z", "2026-11-28T18:00:00Z"},
		{"the day of the zone", "sat 23:00", "America/New_York", "2026-11-29T01:00:00Z", "2026-11-29T04:00:00Z"},

		// Germany: 2026-03-29 02:00 becomes 03:00, 2026-10-25 03:00 becomes 02:00.
		{"left out in spring", "daily 02:30", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z"},
		{"the first minute left out", "daily 02:00", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z"},
		{"the first after it", "daily 03:00", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z"},
		{"once in spring", "daily 02:30", "Europe/Berlin", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"},
		{"the last before it", "daily 01:59", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T00:59:00Z"},
		{"twice in autumn", "daily 02:30", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"},
		{"not the second time", "daily 02:30", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"},
		{"between both", "daily 02:30", "Europe/Berlin", "2026-10-25T01:10:00Z", "2026-10-26T01:30:00Z"},
		{"the first that comes twice", "daily 02:00", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:00:00Z"},
		{"after both", "daily 03:00", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T02:00:00Z"},
		// The United States: 2026-03-08 and 2026-11-01.
		{"left out in New York", "sun 02:15", "America/New_York", "2026-03-08T00:00:00Z", "2026-03-08T07:00:00Z"},
		{"twice in New York", "sun 01:15", "America/New_York", "2026-11-01T00:00:00Z", "2026-11-01T05:15:00Z"},
		// Half an hour: Lord Howe, 2026-10-04 02:00 becomes 02:30, 2026-04-05 02:00 becomes 01:30.
		{"half an hour left out", "daily 02:10", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", "2026-10-03T15:30:00Z"},
		{"half an hour twice", "daily 01:45", "Australia/Lord_Howe", "2026-04-04T12:00:00Z", "2026-04-04T14:45:00Z"},
		// A midnight that is not there: Sao Paulo, 2018-11-04.
		{"no midnight", "sun 00:00", "America/Sao_Paulo", "2018-11-03T12:00:00Z", "2018-11-04T03:00:00Z"},
		// A day that is not there: Samoa, the Friday 2011-12-30.
		{"no Friday", "fri 03:00", "Pacific/Apia", "2011-12-29T20:00:00Z", "2011-12-30T10:00:00Z"},
		{"the Friday after", "fri 03:00", "Pacific/Apia", "2011-12-30T10:00:00Z", "2012-01-05T13:00:00Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Next(when(t, c.on), instant(t, c.after), zone(t, c.zone))
			if want := instant(t, c.want); !got.Equal(want) {
				t.Errorf("%s, expected %s", got.UTC().Format(time.RFC3339), want.Format(time.RFC3339))
			}
		})
	}
}

// Every minute of a day, over some years and whatever the clocks of a zone do: one time for each day, in order.
func TestNextIsOnceADay(t *testing.T) {
	for _, name := range []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Africa/Casablanca", "Asia/Kathmandu"} {
		t.Run(name, func(t *testing.T) {
			z := zone(t, name)
			for minute := 0; minute < 24*60; minute += 23 {
				w := when(t, fmt.Sprintf("daily %02d:%02d", minute/60, minute%60))
				due := Next(w, time.Date(2017, 12, 31, 23, 59, 59, 0, z), z)
				for day := 0; day < 3*365; day++ {
					year, month, number := due.In(z).Date()
					want := time.Date(2018, 1, 1+day, 12, 0, 0, 0, time.UTC)
					if y, m, d := want.Date(); y != year || m != month || d != number {
						t.Fatalf("%s: %s on day %d, expected the day of %s", w, due.In(z), day, want)
					}
					due = Next(w, due, z)
				}
			}
		})
	}
}

func FuzzNext(f *testing.F) {
	f.Add(int64(1774742400), uint8(127), uint8(2), uint8(30), uint8(1))
	f.Fuzz(func(t *testing.T, after int64, days, hour, minute, z uint8) {
		w := policy.When{Days: policy.Weekdays(days) & policy.Daily, Hour: int(hour % 24), Minute: int(minute % 60)}
		if w.Days == 0 || after < -1<<40 || after > 1<<40 {
			return
		}
		names := []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia"}
		from := time.Unix(after, 0)
		if due := Next(w, from, zone(t, names[int(z)%len(names)])); !due.After(from) || due.Sub(from) > 9*24*time.Hour {
			t.Errorf("%s after %s: %s", w, from, due)
		}
	})
}
