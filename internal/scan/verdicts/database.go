package verdicts

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/ampconnector/amp/internal/scan"
)

// The buckets of the file. Verdicts are in two halves: when the young one has half of the entries, the elder is emptied and they change places,
// so that what was not asked for longest goes, at no cost. What is in young goes before what is in elder.
var (
	metaBucket  = []byte("meta")
	halfA       = []byte("a")
	halfB       = []byte("b")
	asideBucket = []byte("aside")

	// Keys of the first.
	epochKey  = []byte("epoch")
	limitsKey = []byte("limits")
	elderKey  = []byte("elder") // name of the half
)

const (
	format    = "1" // of keys and values
	lockWait  = 200 * time.Millisecond
	startSize = 1 << 20 // bytes that are mapped at first
)

// damage says that the file is not what a store wrote.
type damage struct{ what any }

func (d *damage) Error() string { return fmt.Sprintf("the file is damaged: %v", d.what) }

// damaged reports whether an error is one that a new file would not have.
func damaged(err error) bool {
	var d *damage
	return errors.As(err, &d) || errors.Is(err, bolterrors.ErrInvalid) || errors.Is(err, bolterrors.ErrChecksum) ||
		errors.Is(err, bolterrors.ErrVersionMismatch) || errors.Is(err, bolterrors.ErrInvalidMapping)
}

// database is the file while it is open.
type database struct {
	bolt  *bolt.DB
	path  string
	half  uint64
	epoch Epoch
	count atomic.Uint64 // of entries
}

// guard calls f. bbolt takes what it reads for what it wrote: damage is a panic there, or a fault where the file is shorter than
// its mapping, and must not end the daemon.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if what := recover(); what != nil {
			err = &damage{what}
		}
	}()
	return f()
}

// openDatabase opens the file at path, or makes it. A damaged one is set aside and replaced. times is as for openFile.
func openDatabase(path string, entries int, times *int, log *slog.Logger) (*database, error) {
	d, err := openFile(path, entries, times)
	if damaged(err) {
		return replaceDatabase(path, entries, times, log, err)
	}
	return d, err
}

// openFile opens the file at path, or makes it. What times points to is how many times in a row the daemon has opened it by now, 0 before this process has:
// only then is judged how the file was left.
func openFile(path string, entries int, times *int) (*database, error) {
	d := &database{path: path, half: uint64(max(1, entries/2))}
	err := guard(func() error {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if st, err := os.Lstat(path); err == nil && !st.Mode().IsRegular() {
			return &damage{"it is no regular file"}
		}
		now, left := *times, opened(*times-1)
		if now == 0 {
			unclean, was, err := checkSound(path)
			if err != nil {
				return err
			}
			now, left = unclean+1, was
		}
		if err := noteOpen(path, now); err != nil {
			return err
		}
		var err error
		// With NoFreelistSync bbolt walks all pages at the next open, in a goroutine of its own, whose panic nobody can catch.
		d.bolt, err = bolt.Open(path, 0o600, &bolt.Options{
			Timeout: lockWait, FreelistType: bolt.FreelistMapType, InitialMmapSize: startSize, NoStatistics: true,
		})
		if err != nil {
			return errors.Join(err, noteLeft(path, left)) // the daemon may end without having had it open
		}
		*times = now
		return nil
	})
	if errors.Is(err, bolterrors.ErrTimeout) {
		err = errors.New("another process has it open")
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return d, nil
}

// replaceDatabase keeps a damaged file beside the new one, for whoever wants to know; one of them.
func replaceDatabase(path string, entries int, times *int, log *slog.Logger, why error) (*database, error) {
	log.Error("the store of verdicts was damaged and is set aside; a new one takes its place", "error", why, "aside", path+".damaged")
	if err := os.Rename(path, path+".damaged"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	*times = 0
	return openFile(path, entries, times)
}

// begin makes the file be of an epoch and of limits, and returns what was set aside in the epoch, which no limits change.
func (d *database) begin(epoch Epoch, limits scan.Limits) (kept []aside, err error) {
	name := []byte(format + "\x00" + epoch.Definitions + "\x00" + epoch.Engine)
	within := fmt.Appendf(nil, "%+v", limits)
	err = d.update(func(tx *bolt.Tx) error {
		meta, err := tx.CreateBucketIfNotExists(metaBucket)
		if err != nil {
			return err
		}
		var void [][]byte
		switch {
		case !bytes.Equal(meta.Get(epochKey), name):
			void = [][]byte{halfA, halfB, asideBucket}
		case !bytes.Equal(meta.Get(limitsKey), within):
			void = [][]byte{halfA, halfB}
		}
		for _, b := range void {
			if err := tx.DeleteBucket(b); err != nil && !errors.Is(err, bolterrors.ErrBucketNotFound) {
				return err
			}
		}
		if len(void) > 0 {
			if err := errors.Join(meta.Put(epochKey, name), meta.Put(limitsKey, within)); err != nil {
				return err
			}
		}
		for _, b := range [][]byte{halfA, halfB, asideBucket} {
			if _, err := tx.CreateBucketIfNotExists(b); err != nil {
				return err
			}
		}
		d.measure(tx)
		kept = readAside(tx.Bucket(asideBucket))
		return nil
	})
	d.epoch = epoch
	return kept, err
}

// update is one transaction. It is synchronized: one every few seconds costs little, and a store that a power loss tore apart would cost all.
func (d *database) update(f func(*bolt.Tx) error) error {
	err := guard(func() error { return d.bolt.Update(f) })
	if err != nil {
		return fmt.Errorf("write %s: %w", d.path, err)
	}
	return nil
}

// measure notes the number of entries, which the buckets keep as their sequence.
func (d *database) measure(tx *bolt.Tx) {
	d.count.Store(tx.Bucket(halfA).Sequence() + tx.Bucket(halfB).Sequence())
}

func (d *database) entries() uint64 { return d.count.Load() }

// get finds a record; its result is 0 if there is none. A value that is damaged by itself is none either. old says that it will be let go
// unless it is put again.
func (d *database) get(f file) (r record, old bool, err error) {
	key := f.key()
	err = guard(func() error {
		return d.bolt.View(func(tx *bolt.Tx) error {
			young, elder := halves(tx)
			value := tx.Bucket(young).Get(key)
			if value == nil {
				value, old = tx.Bucket(elder).Get(key), true
			}
			r, _ = decode(key, value)
			return nil
		})
	})
	if err != nil {
		return record{}, false, fmt.Errorf("read %s: %w", d.path, err)
	}
	return r, old, nil
}

// put writes records, and what is set aside unless it is nil.
func (d *database) put(records map[file]record, asides []aside) error {
	files := slices.SortedFunc(maps.Keys(records), func(a, b file) int { return bytes.Compare(a.key(), b.key()) })
	return d.update(func(tx *bolt.Tx) error {
		for _, f := range files {
			r := records[f]
			if err := d.putOne(tx, f, &r); err != nil {
				return err
			}
		}
		d.measure(tx)
		if asides == nil {
			return nil
		}
		return writeAside(tx, asides)
	})
}

func (d *database) putOne(tx *bolt.Tx, f file, r *record) error {
	name, _ := halves(tx)
	young, key := tx.Bucket(name), f.key()
	if young.Get(key) == nil {
		if young.Sequence() >= d.half {
			var err error
			if young, err = turnOver(tx); err != nil {
				return err
			}
		}
		if _, err := young.NextSequence(); err != nil {
			return err
		}
	}
	return young.Put(key, r.encode(key))
}

// turnOver empties elder, which is young from then on.
func turnOver(tx *bolt.Tx) (*bolt.Bucket, error) {
	young, elder := halves(tx)
	if err := tx.DeleteBucket(elder); err != nil {
		return nil, err
	}
	if err := tx.Bucket(metaBucket).Put(elderKey, young); err != nil {
		return nil, err
	}
	return tx.CreateBucket(elder)
}

// halves are the names of young and elder.
func halves(tx *bolt.Tx) (young, elder []byte) {
	if bytes.Equal(tx.Bucket(metaBucket).Get(elderKey), halfA) {
		return halfB, halfA
	}
	return halfA, halfB
}

func (d *database) close() error {
	if err := guard(d.bolt.Close); err != nil {
		return err
	}
	return noteClosed(d.path)
}

// abandon closes a file that may be damaged. A transaction that a panic ended may have kept its lock, for which Close then waits for ever.
func (d *database) abandon() {
	go func() { _ = guard(d.bolt.Close) }()
}
