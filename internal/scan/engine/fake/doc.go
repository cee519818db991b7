// Package fake stands in for libclamav in tests of what the daemon does when its scan service dies, hangs, or says what it should not. It
// does on command what a harmful file could bring the real one to. It is there only with the build tag fakeengine, which no package
// has that is shipped.
package fake
