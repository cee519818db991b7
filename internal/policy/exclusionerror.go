package policy

import "fmt"

// ExclusionError is what is wrong with an exclusion. It is English; the parts are for who says it in another language.
type ExclusionError struct {
	Format string // one of ExclusionFormats
	Args   []any
}

func wrong(format string, args ...any) error { return &ExclusionError{format, args} }

func (e *ExclusionError) Error() string { return fmt.Sprintf(e.Format, e.Args...) }

// What may be wrong, with verbs of package fmt.
const (
	ExclusionNoChildren  = "an exclusion by %s has no children; only one by %s has"
	ExclusionNoUID       = "uid %q: expected a number from 0 to 4294967294"
	ExclusionNoKind      = "kind %q: expected one of %s"
	ExclusionNoClass     = "exclusion by %q: expected one of %s"
	ExclusionNotFromRoot = "path %q: expected one from the root, and not the root itself"
	ExclusionTooLong     = "path %.40q…: has %d bytes, expected at most %d"
	ExclusionNotClean    = `path %q: expected one without "//", "/./" and "/../"`
	ExclusionNotText     = "path %q: expected UTF-8 without control characters, since XML has no way to write others"
	ExclusionsFull       = "there are %d exclusions by %s already, which is the most"
)

// ExclusionFormats are all of them.
var ExclusionFormats = []string{
	ExclusionNoChildren, ExclusionNoUID, ExclusionNoKind, ExclusionNoClass, ExclusionNotFromRoot, ExclusionTooLong, ExclusionNotClean, ExclusionNotText, ExclusionsFull,
}
