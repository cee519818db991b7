package verdicts

import (
	"encoding/binary"
	"hash/crc32"
	"time"

	"github.com/ampconnector/amp/internal/scan"
)

// file is what a verdict is found by: one file has one, and a new one takes the place of the old.
type file struct{ device, inode uint64 }

func (id *Identity) file() file { return file{id.Device, id.Inode} }

// record is a verdict as it is kept, small since there are many.
type record struct {
	size                    uint64
	changed, modified, born int64
	time                    int64 // seconds since 1970
	filesystem              uint32
	result                  scan.Result
	found                   *found // nil if nothing was
}

type found struct {
	name   string
	sha256 [32]byte
}

func newRecord(id *Identity, v *Verdict) record {
	r := record{
		size: id.Size, changed: id.Changed, modified: id.Modified, born: id.Born, time: v.Time.Unix(), filesystem: id.Filesystem, result: v.Result,
	}
	if v.Result == scan.Infected {
		r.found = &found{v.Name, v.SHA256}
	}
	return r
}

// is reports whether the record is of a file with this identity, whose device and inode are equal already.
func (r *record) is(id *Identity) bool {
	return r.size == id.Size && r.changed == id.Changed && r.modified == id.Modified && r.born == id.Born && r.filesystem == id.Filesystem
}

func (r *record) verdict() Verdict {
	v := Verdict{Result: r.result, Time: time.Unix(r.time, 0)}
	if r.found != nil {
		v.Name, v.SHA256 = r.found.name, r.found.sha256
	}
	return v
}

// parseKey reads a key of the store.
func parseKey(b []byte) (file, bool) {
	if len(b) != 16 {
		return file{}, false
	}
	return file{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}, true
}

// key is a file's in the store: inodes of one device stand together.
func (f file) key() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(make([]byte, 0, 16), f.device), f.inode)
}

// Sizes in the store, in bytes.
const (
	fixedSize    = 5*8 + 4 + 1
	checksumSize = 4
	hashSize     = 32
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum covers the key too: a page that ended up in the wrong place must not speak for other files.
func checksum(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
}

// encode makes a record's value in the store.
func (r *record) encode(key []byte) []byte {
	b := r.appendFixed(make([]byte, 0, fixedSize+hashSize+checksumSize+scan.MaxName))
	if r.found != nil {
		b = append(append(b, r.found.sha256[:]...), r.found.name...)
	}
	return seal(key, b)
}

// decode reads a value of the store, which may have been damaged in any way.
func decode(key, value []byte) (record, bool) {
	r, rest, ok := unseal(key, value)
	switch {
	case !ok, !keepable(r.result), r.result != scan.Infected && len(rest) > 0, r.result == scan.Infected && len(rest) < hashSize:
		return record{}, false
	case r.result == scan.Infected:
		r.found = &found{name: string(rest[hashSize:]), sha256: [hashSize]byte(rest)}
	}
	return r, true
}

func (r *record) appendFixed(b []byte) []byte {
	for _, n := range [...]uint64{r.size, uint64(r.changed), uint64(r.modified), uint64(r.born), uint64(r.time)} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return append(binary.LittleEndian.AppendUint32(b, r.filesystem), byte(r.result))
}

func seal(key, b []byte) []byte { return binary.LittleEndian.AppendUint32(b, checksum(key, b)) }

// unseal checks a value and takes it apart; rest is what follows the part that all have.
func unseal(key, value []byte) (r record, rest []byte, ok bool) {
	n := len(value) - checksumSize
	if n < fixedSize || checksum(key, value[:n]) != binary.LittleEndian.Uint32(value[n:]) {
		return record{}, nil, false
	}
	word := func(i int) uint64 { return binary.LittleEndian.Uint64(value[8*i:]) }
	return record{
		size: word(0), changed: int64(word(1)), modified: int64(word(2)), born: int64(word(3)), time: int64(word(4)),
		filesystem: binary.LittleEndian.Uint32(value[5*8:]), result: scan.Result(value[fixedSize-1]),
	}, value[fixedSize:n], true
}
