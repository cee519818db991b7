package verdicts

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ampconnector/amp/internal/scan"
)

// Path is where the daemon keeps its verdicts.
const Path = "/var/lib/cisco/amp/verdicts.db"

// Defaults of Options, and what is not worth an option.
const (
	defaultEntries = 200_000
	defaultRecent  = 8_192
	defaultPeriod  = 10 * time.Second
	batch          = 4096        // verdicts that wait to be written before they are
	mostWaiting    = 2 * batch   // that wait while they cannot be; further ones are kept in memory alone
	retryPeriod    = time.Minute // after which a file that could not be used is tried again
)

// Options are a store's. Zero fields stand for the defaults.
type Options struct {
	Entries int           // in the file, 200 000; at least half of them are there once so many were kept
	Recent  int           // in memory, 8192
	Period  time.Duration // after which what is new is written, 10 s
	Limits  scan.Limits   // of the scans: what was cut short by others has to be scanned again
	Log     *slog.Logger
	Now     func() time.Time
	After   func(time.Duration) <-chan time.Time
}

// Store is the memory of verdicts: a file that only the daemon opens, and those asked for last in front of it. Where the file cannot be
// used it works from memory alone, and says so. All methods may be called from several goroutines.
type Store struct {
	path string
	Options

	mu           sync.Mutex
	epoch        Epoch // zero before the first Begin
	recent       recent[file, record]
	contents     recent[Content, struct{}] // in which nothing was found
	waiting      map[file]record           // to be written
	aside        []aside
	asideChanged bool
	trouble      error

	kicked  chan struct{}
	fileMu  sync.RWMutex // held for writing where database is set
	db      *database    // nil where there is none
	times   int          // in a row that the daemon has opened the file; 0 where this process has not, or has closed it
	retryAt time.Time    // no sooner is the file opened again
}

// New makes a store whose file is at path. The file is opened by Begin, since its verdicts are good for one epoch only.
func New(path string, o Options) *Store {
	if o.Entries == 0 {
		o.Entries = defaultEntries
	}
	if o.Recent == 0 {
		o.Recent = defaultRecent
	}
	if o.Period == 0 {
		o.Period = defaultPeriod
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.After == nil {
		o.After = time.After
	}
	return &Store{path: path, Options: o, recent: newRecent[file, record](o.Recent), contents: newRecent[Content, struct{}](mostContents), waiting: make(map[file]record), kicked: make(chan struct{}, 1)}
}

// Begin says what verdicts are found with from now on. Those of another epoch are dropped, here and in the file, and what was set aside with
// them. Before the first Begin nothing is known, and nothing kept.
func (s *Store) Begin(epoch Epoch) {
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	s.mu.Lock()
	if epoch == s.epoch {
		s.mu.Unlock()
		return
	}
	s.epoch = epoch
	s.recent.clear()
	s.contents.clear()
	clear(s.waiting)
	s.aside, s.asideChanged = nil, false
	s.mu.Unlock()
	s.attach(epoch)
}

// attach makes the file be of the epoch, and opens it if it is not open. The caller holds fileMu.
func (s *Store) attach(epoch Epoch) {
	var err error
	if s.db == nil {
		s.db, err = openDatabase(s.path, s.Entries, &s.times, s.Log)
	}
	var kept []aside
	if err == nil {
		kept, err = s.db.begin(epoch, s.Limits)
		if damaged(err) { // once: a new file that is damaged is not this file's trouble
			s.db.abandon()
			if s.db, err = replaceDatabase(s.path, s.Entries, &s.times, s.Log, err); err == nil {
				kept, err = s.db.begin(epoch, s.Limits)
			}
		}
	}
	if err != nil {
		s.detach()
	}
	s.tell(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.aside
	s.aside = kept
	for _, a := range known { // from when there was no file
		if !slices.ContainsFunc(s.aside, func(b aside) bool { return b.is(&a) }) {
			s.aside, s.asideChanged = append(s.aside, a), true
		}
	}
}

// detach goes on without the file for a while. Should the daemon end meanwhile, it does not end with the file open. The caller holds fileMu.
func (s *Store) detach() {
	if s.db != nil {
		s.db.abandon()
		s.db = nil
		if err := noteOpen(s.path, s.times-1); err != nil {
			s.Log.Debug("it is not noted that the store of verdicts is not in use", "error", err)
		}
	}
	s.retryAt = s.Now().Add(retryPeriod)
}

// tell notes trouble with the file, and logs what is new of it.
func (s *Store) tell(err error) {
	s.mu.Lock()
	before := s.trouble
	s.trouble = err
	s.mu.Unlock()
	switch {
	case err != nil && (before == nil || before.Error() != err.Error()):
		s.Log.Error("the store of verdicts cannot be used; they are kept in memory", "error", err)
	case err == nil && before != nil:
		s.Log.Info("the store of verdicts can be used again", "file", s.path)
	}
}

// Lookup is what is known of a file in this epoch, and which one that is.
func (s *Store) Lookup(id Identity) (Verdict, Epoch, bool) {
	f := id.file()
	s.mu.Lock()
	r, ok := s.recent.get(f)
	epoch := s.epoch
	s.mu.Unlock()
	if ok {
		if !r.is(&id) {
			return Verdict{}, Epoch{}, false // the file's is older still: a record is replaced in memory first
		}
		return r.verdict(), epoch, true
	}
	if epoch == (Epoch{}) {
		return Verdict{}, Epoch{}, false
	}
	db, r, old, err := s.read(f, epoch)
	if err != nil {
		s.lost(db, err)
		return Verdict{}, Epoch{}, false
	}
	if r.result == 0 || !r.is(&id) {
		return Verdict{}, Epoch{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch != epoch {
		return Verdict{}, Epoch{}, false // dropped meanwhile
	}
	s.recent.put(f, r)
	if old {
		s.write(f, r)
	}
	return r.verdict(), epoch, true
}

// read asks the file. A result of 0 is none. Nobody waits while another epoch begins, which empties the file and takes as long as the disk does: what
// is in it then is void, or costs a scan at most.
func (s *Store) read(f file, epoch Epoch) (db *database, r record, old bool, err error) {
	if !s.fileMu.TryRLock() {
		return nil, record{}, false, nil
	}
	defer s.fileMu.RUnlock()
	if s.db == nil || s.db.epoch != epoch {
		return nil, record{}, false, nil
	}
	r, old, err = s.db.get(f)
	return s.db, r, old, err
}

// Keep remembers a verdict of an epoch. It is passed over if another epoch has begun, if no later scan need come to the same, or if the
// identity does not prove, at the verdict's time, that the file has not changed since.
func (s *Store) Keep(epoch Epoch, id Identity, v Verdict) {
	if !keepable(v.Result) || !id.Proves(v.Time) {
		return
	}
	f, r := id.file(), newRecord(&id, &v)
	s.mu.Lock()
	defer s.mu.Unlock()
	if epoch != s.epoch || epoch == (Epoch{}) {
		return
	}
	s.recent.put(f, r)
	s.write(f, r)
}

// write notes what is to be written. The caller holds mu.
func (s *Store) write(f file, r record) {
	if _, waits := s.waiting[f]; !waits && len(s.waiting) >= mostWaiting {
		return
	}
	s.waiting[f] = r
	if len(s.waiting) >= batch {
		s.kick()
	}
}

func (s *Store) kick() {
	select {
	case s.kicked <- struct{}{}:
	default:
	}
}

// Run writes what is new, every Period and when there is much of it, until ctx ends, and then closes the file. What was not written at the
// end of the process or of the machine's power is scanned again.
func (s *Store) Run(ctx context.Context) {
	due := s.After(s.Period)
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-s.kicked:
			s.flush()
		case <-due:
			due = s.After(s.Period)
			s.flush()
		}
	}
	s.flush()
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	if s.db != nil {
		if err := s.db.close(); err != nil {
			s.Log.Error("close the store of verdicts", "error", err)
		}
		s.db, s.times = nil, 0
	}
	s.retryAt = s.Now().Add(retryPeriod)
}

// flush writes what waits, in one transaction.
func (s *Store) flush() {
	s.reattach()
	s.fileMu.RLock()
	s.mu.Lock()
	waiting, epoch := s.waiting, s.epoch
	var asides []aside
	if s.asideChanged {
		asides = append(make([]aside, 0, len(s.aside)), s.aside...)
	}
	if s.db == nil || s.db.epoch != epoch || len(waiting) == 0 && asides == nil {
		s.mu.Unlock()
		s.fileMu.RUnlock()
		return
	}
	s.waiting, s.asideChanged = make(map[file]record), false
	s.mu.Unlock()
	db := s.db
	err := db.put(waiting, asides)
	s.fileMu.RUnlock()
	if err == nil {
		s.tell(nil)
		return
	}
	if asides != nil {
		s.mu.Lock()
		s.asideChanged = true
		s.mu.Unlock()
	}
	s.lost(db, err)
}

// reattach tries again to use a file that could not be.
func (s *Store) reattach() {
	s.fileMu.RLock()
	attached := s.db != nil
	s.fileMu.RUnlock()
	if attached {
		return // without the lock that keeps readers out
	}
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	s.mu.Lock()
	epoch := s.epoch
	s.mu.Unlock()
	if s.db == nil && epoch != (Epoch{}) && !s.Now().Before(s.retryAt) {
		s.attach(epoch)
	}
}

// lost deals with an error of the file: one that is damaged is replaced, another one (a full disk) may pass.
func (s *Store) lost(db *database, err error) {
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	if s.db != db {
		return // somebody else found out first
	}
	s.mu.Lock()
	epoch := s.epoch
	s.mu.Unlock()
	if damaged(err) {
		s.db.abandon()
		var replacing error
		if s.db, replacing = replaceDatabase(s.path, s.Entries, &s.times, s.Log, err); replacing == nil {
			s.attach(epoch)
			return
		}
		err = replacing
	}
	s.detach()
	s.tell(err)
}

// State is how the store is doing.
type State struct {
	File    string
	Entries uint64 // in the file
	Error   string // why it works from memory alone; "" where it does not
}

// State is a snapshot.
func (s *Store) State() State {
	st := State{File: s.path}
	s.fileMu.RLock()
	if s.db != nil {
		st.Entries = s.db.entries()
	}
	s.fileMu.RUnlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trouble != nil {
		st.Error = s.trouble.Error()
	}
	return st
}
