package verdicts

// recent are what was kept or asked for last. They are in two halves; when the younger is full, the elder is let go, and
// with it the entries that nobody asked for since. Finding one allocates nothing.
type recent[K comparable, V any] struct {
	half         int // entries of one half
	young, elder map[K]V
}

func newRecent[K comparable, V any](entries int) recent[K, V] {
	r := recent[K, V]{half: max(1, entries/2)}
	r.clear()
	return r
}

func (r *recent[K, V]) clear() { r.young, r.elder = make(map[K]V), nil }

func (r *recent[K, V]) get(k K) (V, bool) {
	if v, ok := r.young[k]; ok {
		return v, true
	}
	v, ok := r.elder[k]
	if ok {
		r.put(k, v)
	}
	return v, ok
}

func (r *recent[K, V]) put(k K, v V) {
	if _, known := r.young[k]; !known && len(r.young) >= r.half {
		r.elder = r.young
		r.young = make(map[K]V, r.half)
	}
	r.young[k] = v
}
