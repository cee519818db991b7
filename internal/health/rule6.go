package health

import (
	"fmt"
	"strings"
	"time"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/terminal"
)

// Causes of fault 6: how the service ended.
const (
	CauseEnded = "ended"
	CauseHung  = "hung"
)

// rule6 reports fault 6: the scan service ended more often than it may, and has not been quiet since for long enough.
type rule6 struct{}

func (rule6) ID() fault.ID { return 6 }

func (rule6) Check(f *Facts) fault.Finding {
	q := &inquiry{}
	s, done := q.scanning(f)
	if done != nil {
		return *done
	}
	from, l := scanSource(f), s.Limits
	if l.Window <= 0 || l.Quiet <= 0 {
		q.missing(fault.Text{EN: "limits of ends", JA: "終了回数のしきい値"}, from, onlyContext, errNotTold)
		return q.finding(fault.Text{})
	}
	expected := fault.Text{EN: "at most %d within %s; after more of them, none for %s", JA: "%[2]s 以内に %[1]d 回以下。超えた場合は %[3]s 間終了がないこと"}.
		With(l.Ends, seconds(l.Window), seconds(l.Quiet))
	q.saw(fault.Text{EN: "ends of the scan service", JA: "スキャンサービスの終了回数"}, fault.Verbatim(fmt.Sprint(len(s.Ends))), from, expected)
	q.ends(f, s)
	if !frequent(s.Ends, l) {
		return q.finding(fault.Text{EN: "the scan service does not end too often", JA: "スキャンサービスの終了は頻繁ではありません"})
	}
	newest := s.Ends[len(s.Ends)-1]
	cause := CauseEnded
	if newest.Hung {
		cause = CauseHung
	}
	q.deviates(cause, fault.Text{
		EN: "the scan service ended %d times, the last time at %s (%s)",
		JA: "スキャンサービスが %d 回終了しました。直近は %s (%s)",
	}.With(len(s.Ends), stamp(newest.Time), howEnded(newest)))
	return q.finding(fault.Text{})
}

// frequent goes through the ends since the service last was quiet: once more than the limit came within the window, they are too many until it was so for
// long enough. That it gets fewer is not enough, or the fault would come and go with each file that ends it. Whether it was quiet is the daemon's to say,
// which tells of no ends then: it measures that by a clock that nobody sets, and the times of the ends are of one that may have been set since.
func frequent(ends []control.ScanEnd, l control.ScanLimits) bool {
	window, first := time.Duration(l.Window)*time.Second, 0
	for i, e := range ends {
		for e.Time.Sub(ends[first].Time) >= window {
			first++
		}
		if i-first+1 > l.Ends {
			return true
		}
	}
	return false
}

// shownEnds are the newest of the ends that are evidence.
const shownEnds = 8

// ends shows each end, and the files that were set aside. The daemon's findings go into the ledger, which everybody may read: there the
// names of files are left out.
func (q *inquiry) ends(f *Facts, s control.Scan) {
	from := scanSource(f)
	for _, e := range s.Ends[max(0, len(s.Ends)-shownEnds):] {
		read := fault.Text{EN: "process %d: %s", JA: "プロセス %d: %s"}.With(e.PID, howEnded(e))
		if e.Memory > 0 {
			read = fault.Text{EN: "%s; %d MiB of memory were available", JA: "%s。空きメモリー %d MiB"}.With(read, e.Memory>>20)
		}
		if len(e.Files) > 0 {
			read = fault.Text{EN: "%s; it was scanning %s", JA: "%s。スキャン中: %s"}.With(read, fileNames(f, e.Files))
		}
		q.saw(fault.Text{EN: "end at %s", JA: "%s の終了"}.With(stamp(e.Time)), read, from, onlyContext)
	}
	if len(s.SetAside) > 0 {
		q.saw(fault.Text{EN: "files that are not scanned any more, since the service ended on them twice", JA: "2 回の終了によりスキャン対象から外されたファイル"},
			fileNames(f, s.SetAside), from, onlyContext)
	}
}

func fileNames(f *Facts, files []string) fault.Text {
	if f.Daemon {
		return fault.Text{EN: "%d files, which amp-remediate 6 names", JA: "ファイル %d 件 (amp-remediate 6 で表示)"}.With(len(files))
	}
	names := make([]string, len(files))
	for i, name := range files {
		names[i] = terminal.Line(name)
	}
	return fault.Verbatim(strings.Join(names, ", "))
}

// howEnded says what ended the service.
func howEnded(e control.ScanEnd) fault.Text {
	switch {
	case e.MemoryLimit > 0:
		return fault.Text{EN: "it came to its memory limit of %d MiB, and the kernel ended it", JA: "メモリー上限 %d MiB に達し、カーネルが終了"}.With(e.MemoryLimit >> 20)
	case e.Hung:
		return fault.Text{EN: "it did not answer in time and was killed", JA: "応答がないため強制終了"}
	case e.Signal == "SIGSYS":
		return fault.Text{EN: "SIGSYS, a system call that its filter forbids", JA: "SIGSYS (フィルターで禁止されたシステムコール)"}
	case e.Signal == "SIGKILL":
		return fault.Text{EN: "SIGKILL, as by the kernel when memory runs out", JA: "SIGKILL (メモリー不足時のカーネルによる終了など)"}
	case e.Signal != "":
		return fault.Verbatim(e.Signal)
	}
	return fault.Text{EN: "exit status %d", JA: "終了ステータス %d"}.With(e.Status)
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func seconds(n int) string { return (time.Duration(n) * time.Second).String() }
