package definitions

import (
	"fmt"
	"regexp"
	"strings"
)

// Form is how a kind of definition file is written.
type Form string

const (
	Container Form = "container" // a header of 512 bytes, then a tar of databases
	Lines     Form = "lines"     // one entry a line
	Free      Form = "free"      // something that only the engine can judge
	Signature Form = "signature" // of the container that it is named after, from ClamAV 1.5 on
)

// kind is what an extension says of a file.
type kind struct {
	form      Form
	separator string // Lines: what stands between the fields of an entry
	least     int    // and how often at least; the engine counts for itself, this finds what is no database at all
}

// kinds are the extensions that libclamav loads from a directory (CLI_DBEXT in its readdb.h), without those that it has dropped.
var kinds = map[string]kind{
	".cvd": {form: Container}, ".cld": {form: Container}, ".cud": {form: Container},
	".sign": {form: Signature},

	".db":  {Lines, "=", 1},
	".hdb": {Lines, ":", 2}, ".hdu": {Lines, ":", 2}, ".hsb": {Lines, ":", 2}, ".hsu": {Lines, ":", 2},
	".mdb": {Lines, ":", 2}, ".mdu": {Lines, ":", 2}, ".msb": {Lines, ":", 2}, ".msu": {Lines, ":", 2}, ".imp": {Lines, ":", 2},
	".fp": {Lines, ":", 2}, ".sfp": {Lines, ":", 2},
	".ndb": {Lines, ":", 3}, ".ndu": {Lines, ":", 3}, ".sdb": {Lines, ":", 3},
	".ldb": {Lines, ";", 3}, ".ldu": {Lines, ";", 3},
	".idb": {Lines, ":", 3}, ".cdb": {Lines, ":", 8}, ".crb": {Lines, ";", 8}, ".cat": {Lines, ":", 2}, ".pwdb": {Lines, ";", 3},
	".pdb": {Lines, ":", 1}, ".gdb": {Lines, ":", 1}, ".wdb": {Lines, ":", 1},
	".zmd": {Lines, ":", 6}, ".rmd": {Lines, ":", 6}, ".ftm": {Lines, ":", 5},
	".ign": {Lines, ":", 0}, ".ign2": {Lines, ":", 0},
	".cfg": {Lines, ":", 1}, ".info": {Lines, ":", 1},
	".cbc": {form: Free}, ".yar": {form: Free}, ".yara": {form: Free}, ".ioc": {form: Free},
}

// extension is the part of a name that says its kind, in small letters as the engine compares it.
func extension(name string) string {
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		return strings.ToLower(name[i:])
	}
	return ""
}

// isDefinition reports whether the engine would take a file of this name for a definition file. Other files of a directory (freshclam.dat, what a download
// has in progress, a hidden file) are none of ours.
func isDefinition(name string) bool {
	_, known := kinds[extension(name)]
	return known && !strings.HasPrefix(name, ".")
}

// names that a definition file may have: they go into paths, logs and terminals.
var names = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.+@=,-]{0,127}$`)

func checkName(name string) Check {
	c := Check{File: name, Step: StepName, Verdict: Passed, Read: fmt.Sprintf("%.140q", name)}
	if !names.MatchString(name) {
		c.Verdict, c.Expected = Failed, "at most 128 of A-Z a-z 0-9 _ . + @ = , - and none of . + @ = , - at the beginning"
	}
	return c
}

// stem is what two versions of one database have in common: daily for daily.cvd and daily.cld, since freshclam(1) turns the one into the other.
// A signature belongs to its database.
func stem(name string) string {
	switch ext := extension(name); ext {
	case ".sign":
		return stem(signed(name))
	case ".cvd", ".cld":
		return name[:len(name)-len(ext)] + ".c?d"
	}
	return name
}

// versioned is a signature's name without its extension, as freshclam(1) of ClamAV 1.5 names it: daily-27800.cvd for daily.cvd.
var versioned = regexp.MustCompile(`^(.+)-[0-9]+(\.[A-Za-z]+)$`)

// signed is the name of the database that a signature belongs to.
func signed(name string) string {
	database := name[:len(name)-len(extension(name))]
	if m := versioned.FindStringSubmatch(database); m != nil {
		return m[1] + m[2]
	}
	return database
}
