package host

import (
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
)

// zypperList asks without reading lists anew, which takes root. 104 is ZYPPER_EXIT_INF_CAP_NOT_FOUND, zypper(8).
var zypperList = listing{[]string{"zypper", "--non-interactive", "--no-refresh", "--xmlout", "search", "--details", "--match-exact", "--type", "package"}, true, 104, zypperVersions}

// zypperStream is what zypper writes with --xmlout, as far as it is read.
type zypperStream struct {
	Messages []struct {
		Type string `xml:"type,attr"` // "info", "warning", "error"
		Text string `xml:",chardata"`
	} `xml:"message"`
	Solvables []struct {
		Edition string `xml:"edition,attr"` // [EPOCH:]VERSION-RELEASE
	} `xml:"search-result>solvable-list>solvable"`
}

// zypperVersions reads a search for one package. A repository that cannot be read is passed over with a warning, and so is a host without repositories:
// that there is no such package is not known then.
func zypperVersions(out, pkg string) ([]string, error) {
	var stream zypperStream
	if err := xml.Unmarshal([]byte(out), &stream); err != nil {
		return nil, fmt.Errorf("output of zypper: %w", err)
	}
	var versions []string
	_, named := SplitNamed(pkg)
	for _, s := range stream.Solvables {
		if named == "" || IsRebuild(withoutEpoch(s.Edition), named) {
			versions = append(versions, s.Edition)
		}
	}
	if len(versions) > 0 {
		return versions, nil
	}
	for _, m := range stream.Messages {
		if m.Type != "info" {
			first, _, _ := strings.Cut(strings.TrimSpace(m.Text), "\n")
			return nil, errors.New(first)
		}
	}
	return nil, nil
}
