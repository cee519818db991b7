package host

// Reading is a value read from a host, or the reason why it is not known. There are three answers, never two: a Reading
// of bool is yes, no, or (Err set) don't know.
type Reading[T any] struct {
	Value T
	From  string // file, command or kernel interface that was read
	Err   error  // why Value is not known; nil means that Value holds
}

// Known reports whether Value holds.
func (r Reading[T]) Known() bool { return r.Err == nil }

// Read makes a Reading that holds v.
func Read[T any](v T, from string) Reading[T] { return Reading[T]{Value: v, From: from} }

// NotKnown makes a Reading without a value.
func NotKnown[T any](from string, err error) Reading[T] { return Reading[T]{From: from, Err: err} }
