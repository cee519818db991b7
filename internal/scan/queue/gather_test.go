package queue

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ampconnector/amp/internal/monitor"
	"github.com/ampconnector/amp/internal/scan/supervise"
)

// Of a thousand files that come at once a single worker is told.
func TestManyFilesRouseOneWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Config{Workers: 4})
		for i := range 1000 {
			q.Offer(wrote(monitor.File{Path: "/gone", Inode: uint64(1 + i), Size: 1, Changed: 1}))
		}
		if n := len(q.ready); n != 0 {
			t.Errorf("%d workers roused before the others had come", n)
		}
		time.Sleep(gathered)
		synctest.Wait()
		if n := len(q.ready); n != 1 {
			t.Errorf("%d workers roused, expected 1", n)
		}
		q.Offer(wrote(monitor.File{Path: "/later", Inode: 2000, Size: 1, Changed: 1}))
		time.Sleep(gathered)
		synctest.Wait()
		if n := len(q.ready); n != 2 {
			t.Errorf("%d workers roused, expected another one for what came later", n)
		}
	})
}

// What comes at once is scanned side by side all the same: whoever begins a scan has the next worker go on.
func TestScansOfOneMomentGoSideBySide(t *testing.T) {
	const workers = 4
	begun, over := make(chan struct{}), make(chan struct{})
	w := newWorld(t, func(c *Config) { c.Workers = workers })
	w.during = func(supervise.Job) error {
		begun <- struct{}{}
		<-over
		return nil
	}
	var files []*monitor.Event
	for i := range workers {
		files = append(files, wrote(w.file(fmt.Sprint("f", i), fmt.Sprint("content ", i))))
	}
	for _, e := range files {
		w.q.Offer(e)
	}
	running(t, w)
	for i := range workers {
		select {
		case <-begun:
		case <-time.After(30 * time.Second):
			t.Fatalf("%d scans side by side, expected %d", i, workers)
		}
	}
	close(over)
}
