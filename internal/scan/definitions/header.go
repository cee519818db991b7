package definitions

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// HeaderSize is the length of a container's header in bytes.
const HeaderSize = 512

// Header is the header of a .cvd, .cld or .cud: fields between colons, filled up with blanks ("CVD format" in ClamAV's signature manual).
type Header struct {
	Version    uint32    `json:"version"`
	Signatures uint32    `json:"signatures"`
	Level      uint32    `json:"level"` // functionality level of the engine that it is made for
	MD5        string    `json:"md5"`   // of what follows the header, in hexadecimal
	Builder    string    `json:"builder"`
	Built      time.Time `json:"built"`
	Signature  string    `json:"-"` // of the MD5, in ClamAV's own base 64; "X" in a .cud
}

// Bounds of the numbers and texts of a header. The engine reads its numbers with atoi(3) into an unsigned int; what only fits there by chance is refused.
const (
	maxNumber    = 1<<31 - 1
	maxSignature = 352
	maxBuilder   = 64
)

const (
	magic      = "ClamAV-VDB"
	timeLayout = "02 Jan 2006 15-04 -0700"
)

// ParseHeader reads a header. b has to be its HeaderSize bytes.
func ParseHeader(b []byte) (Header, error) {
	if len(b) != HeaderSize {
		return Header{}, fmt.Errorf("header of %d bytes: expected %d", len(b), HeaderSize)
	}
	text := string(bytes.TrimRight(b, " \x00\r\n"))
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return Header{}, fmt.Errorf("byte %d is %#02x: expected printable ASCII", i, text[i])
		}
	}
	fields := strings.Split(text, ":")
	if fields[0] != magic {
		return Header{}, fmt.Errorf("begins with %.20q: expected %q", fields[0], magic)
	}
	if len(fields) != 9 && len(fields) != 8 { // containers of before 2006 have no time in seconds
		return Header{}, fmt.Errorf("%d fields: expected 9", len(fields))
	}
	return parseFields(fields)
}

func parseFields(fields []string) (h Header, err error) {
	for _, n := range []struct {
		name string
		at   int
		to   *uint32
	}{{"version", 2, &h.Version}, {"number of signatures", 3, &h.Signatures}, {"functionality level", 4, &h.Level}} {
		if *n.to, err = number(fields[n.at]); err != nil {
			return Header{}, fmt.Errorf("%s %w", n.name, err)
		}
	}
	if h.MD5 = fields[5]; len(h.MD5) != 32 || strings.ToLower(h.MD5) != h.MD5 {
		return Header{}, fmt.Errorf("MD5 %.40q: expected 32 hexadecimal digits, in small letters", h.MD5)
	}
	if _, err := hex.DecodeString(h.MD5); err != nil {
		return Header{}, fmt.Errorf("MD5 %.40q: expected 32 hexadecimal digits", h.MD5)
	}
	if h.Signature = fields[6]; h.Signature == "" || len(h.Signature) > maxSignature || strings.Trim(h.Signature, base64) != "" {
		return Header{}, fmt.Errorf("digital signature %.40q: expected at most %d of A-Z a-z 0-9 + /", h.Signature, maxSignature)
	}
	if h.Builder = fields[7]; len(h.Builder) > maxBuilder {
		return Header{}, fmt.Errorf("builder of %d bytes: expected at most %d", len(h.Builder), maxBuilder)
	}
	h.Built, err = built(fields)
	return h, err
}

const base64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// number reads decimal digits and nothing else: no sign, no blanks, which atoi(3) takes.
func number(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n > maxNumber {
		return 0, fmt.Errorf("%.40q: expected digits, at most %d", s, uint32(maxNumber))
	}
	return uint32(n), nil
}

func built(fields []string) (time.Time, error) {
	if len(fields) == 9 {
		n, err := strconv.ParseUint(fields[8], 10, 32)
		if err != nil {
			return time.Time{}, fmt.Errorf("time of building %.40q: expected seconds since 1970 of at most 32 bits", fields[8])
		}
		return time.Unix(int64(n), 0).UTC(), nil
	}
	t, err := time.Parse(timeLayout, fields[1])
	if err != nil {
		return time.Time{}, fmt.Errorf("time of building %.40q: expected one such as %q", fields[1], timeLayout)
	}
	return t.UTC(), nil
}
