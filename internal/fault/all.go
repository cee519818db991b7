package fault

import "slices"

// All is the catalogue, in order of ID. The caller may keep and change the slice.
func All() []Fault { return slices.Clone(catalogue) }

// Lookup finds a fault by its number; false if the catalogue has no such number.
func Lookup(id ID) (Fault, bool) {
	for _, f := range catalogue {
		if f.ID == id {
			return f, true
		}
	}
	return Fault{}, false
}
