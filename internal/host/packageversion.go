package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
)

// PackageVersions lists the installed packages whose names fit one of the patterns of fnmatch(3), one a line, with version and architecture, as the
// package databases of the running host have them.
func PackageVersions(ctx context.Context, r Root, patterns ...string) Reading[[]byte] {
	return packageVersions(ctx, packageQuestions(r), patterns)
}

// versionQuestions are in the order of packageDatabases.
var versionQuestions = []struct {
	tool string
	args []string
	none int // exit status where no package fits a pattern, and the others are listed all the same
}{
	{"dpkg-query", []string{"--show", "--showformat=${Package} ${Version} ${Architecture} ${Status}\\n"}, 1},
	{"rpm", []string{"--query", "--all"}, 0},
}

func packageVersions(ctx context.Context, q questions, patterns []string) Reading[[]byte] {
	const from = "package database"
	if !q.Live() {
		return NotKnown[[]byte](from, ErrNotRunning)
	}
	var list bytes.Buffer
	var errs []error
	for i, db := range packageDatabases {
		if !db.inUse(q.Root) {
			continue
		}
		question := versionQuestions[i]
		output, status, err := q.ask(ctx, q.Root, question.tool, append(question.args[:len(question.args):len(question.args)], patterns...)...)
		if err == nil && status != 0 && status != question.none {
			err = fmt.Errorf("%s: exit status %d", question.tool, status)
		}
		errs = append(errs, err)
		list.Write(output)
	}
	switch err := errors.Join(errs...); {
	case len(errs) == 0:
		return NotKnown[[]byte](from, errNoPackageDatabase)
	case err != nil:
		return NotKnown[[]byte](from, err)
	}
	return Read(list.Bytes(), from)
}
