// Package guest is the black-box tests that run inside a guest of the lab, as one static test binary. Its tests are the scripts below
// testdata/positive and testdata/negative; package testscript runs them, with the commands that this package adds. The scripts of a
// guest share one host and run one after the other, in the order of their names.
package guest
