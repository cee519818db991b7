package verdicts

// recent are the verdicts that were kept or asked for last. They are in two halves; when the younger is full, the elder is let go, and
// with it the entries that nobody asked for since. Finding one allocates nothing.
type recent struct {
	half         int // entries of one half
	young, elder map[file]record
}

func newRecent(entries int) recent {
	r := recent{half: max(1, entries/2)}
	r.clear()
	return r
}

func (r *recent) clear() { r.young, r.elder = make(map[file]record), nil }

func (r *recent) get(f file) (record, bool) {
	if v, ok := r.young[f]; ok {
		return v, true
	}
	v, ok := r.elder[f]
	if ok {
		r.put(f, v)
	}
	return v, ok
}

func (r *recent) put(f file, v record) {
	if _, known := r.young[f]; !known && len(r.young) >= r.half {
		r.elder = r.young
		r.young = make(map[file]record, r.half)
	}
	r.young[f] = v
}
