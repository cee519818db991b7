package monitor

import (
	"math/bits"
	"slices"
	"unicode/utf8"
)

// object writes the members of a JSON object, which is left out altogether where it has none.
type object struct {
	b     []byte
	open  string // what begins it: `,"unmapped":{`
	begun bool
}

// member begins a member; name has the quotes and the colon.
func (o *object) member(name string) {
	if o.begun {
		o.b = append(o.b, ',')
	} else {
		o.b = append(o.b, o.open...)
		o.begun = true
	}
	o.b = append(o.b, name...)
}

func (o *object) integer(name string, v int64) {
	o.member(name)
	o.b = appendDecimal(o.b, v)
}

func (o *object) unsigned(name string, v uint64) {
	o.member(name)
	o.b = appendDigits(o.b, v)
}

func (o *object) text(name, s string) {
	o.member(name)
	o.b = appendString(o.b, s)
}

// flag adds a member that is true, where it is.
func (o *object) flag(name string, is bool) {
	if is {
		o.member(name)
		o.b = append(o.b, "true"...)
	}
}

// end closes the object and returns what was written.
func (o *object) end() []byte {
	if o.begun {
		return append(o.b, '}')
	}
	return o.b
}

func appendInt(b []byte, name string, v int64) []byte {
	return appendDecimal(append(b, name...), v)
}

func appendUint(b []byte, name string, v uint64) []byte {
	return appendDigits(append(b, name...), v)
}

func appendDecimal(b []byte, v int64) []byte {
	if v < 0 {
		return appendDigits(append(b, '-'), -uint64(v))
	}
	return appendDigits(b, uint64(v))
}

// appendDigits adds a number in decimal. A line has about twenty, which were a third of its cost by strconv: these are written where they belong.
func appendDigits(b []byte, v uint64) []byte {
	if v < 10 {
		return append(b, '0'+byte(v))
	}
	n := bits.Len64(v) * 1233 >> 12 // log10 2 is 0.30103: the digits, or one less
	if v >= powers[n] {
		n++
	}
	start := len(b)
	b = slices.Grow(b, mostDigits)[:start+n]
	d := b[start:]
	for len(d) > 2 {
		q := v / 100
		pair := &pairs[v-100*q]
		d[len(d)-2], d[len(d)-1] = pair[0], pair[1]
		d, v = d[:len(d)-2], q
	}
	if len(d) == 2 {
		d[0], d[1] = pairs[v][0], pairs[v][1]
	} else {
		d[0] = '0' + byte(v)
	}
	return b
}

// mostDigits are those of 1<<64 - 1.
const mostDigits = 20

// powers of ten, by exponent.
var powers = func() (p [mostDigits]uint64) {
	p[0] = 1
	for i := range p[1:] {
		p[i+1] = 10 * p[i]
	}
	return p
}()

// pairs are the decimals of 0 to 99, with two digits.
var pairs = func() (p [100][2]byte) {
	for i := range p {
		p[i] = [2]byte{'0' + byte(i/10), '0' + byte(i%10)}
	}
	return p
}()

// appendStrings adds a JSON array.
func appendStrings(b []byte, s []string) []byte {
	b = append(b, '[')
	for i, one := range s {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, one)
	}
	return append(b, ']')
}

// appendPath adds a path as a member of that name, which has the quotes and the colon, and its last part as one called name.
func appendPath(b []byte, name, path string) []byte {
	b = append(append(b, name...), '"')
	start := len(b)
	b = appendEscaped(b, path)
	// A slash is no part of anything that is escaped, or of a longer character: what stands behind the last one is the escaped name.
	end := len(b)
	last := end
	for last > start && b[last-1] != '/' {
		last--
	}
	b = append(b, `","name":"`...)
	b = append(b, b[last:end]...)
	return append(b, '"')
}

// appendString adds s as a JSON string (RFC 8259).
func appendString(b []byte, s string) []byte {
	return append(appendEscaped(append(b, '"'), s), '"')
}

// appendEscaped adds what stands between the quotes. Control bytes are escaped, DEL too, so that a line can be shown on a terminal;
// bytes that are not UTF-8 become U+FFFD, since JSON has no way to say them.
func appendEscaped(b []byte, s string) []byte {
	done := 0
	for i := 0; i < len(s); {
		if len(s)-i >= 8 && plainWord(s[i:]) {
			i += 8
			continue
		}
		c := s[i]
		if plain[c] {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			b = appendControl(append(b, s[done:i]...), c)
			i++
			done = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b = append(append(b, s[done:i]...), "\ufffd"...)
		case r < 0xa0: // C1 control characters
			b = appendControl(append(b, s[done:i]...), byte(r))
		default:
			i += size
			continue
		}
		i += size
		done = i
	}
	return append(b, s[done:]...)
}

// valid reports whether s is UTF-8. Nearly all that is asked stands for itself.
func valid(s string) bool {
	for len(s) >= 8 && plainWord(s) {
		s = s[8:]
	}
	for i := range len(s) {
		if !plain[s[i]] {
			return utf8.ValidString(s[i:])
		}
	}
	return true
}

// plainWord reports whether the first eight bytes of s all stand for themselves.
func plainWord(s string) bool {
	const (
		ones  = 0x0101010101010101
		highs = 0x80 * ones
	)
	_ = s[7]
	// The compiler makes one load of it.
	w := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 | uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
	// What is taken away from a byte that is too small, or that is the one looked for, borrows, and leaves it with its high bit set. The byte
	// behind it may get one too, which changes nothing then.
	quote, backslash, del := w^'"'*ones, w^'\\'*ones, w^0x7f*ones
	return (w|(w-' '*ones)|(quote-ones)|(backslash-ones)|(del-ones))&highs == 0
}

func appendControl(b []byte, c byte) []byte {
	const digits = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	case '\t':
		return append(b, '\\', 't')
	}
	return append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
}

// plain are the bytes that stand for themselves in a JSON string, and are ASCII.
var plain = func() (t [256]bool) {
	for c := range utf8.RuneSelf {
		t[c] = c >= ' ' && c != '"' && c != '\\' && c != 0x7f
	}
	return t
}()
