package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/ampconnector/amp/vagrant/lab"
)

// roomTests are, by room, the tests that ask the kernel. The others come out the same on every host.
var roomTests = map[string]string{
	"bpf":                "^(TestFileActions|TestExclusions|TestReduced|TestDuplicatesAreMerged|TestCountsAddUp|TestNetworkActions|TestFlowsLeftOut|TestSystemActions|TestContainer|TestExecAndExit|TestExecPath|TestSecondProgramsAreAttached|TestVerifierCost)$",
	"internal/connector": "^TestModules$",
	"internal/degraded":  "^TestOwnMountNamespace$",

	"internal/scan/quarantine": "^TestVerity$",
}

// roomScript runs the tests of a room in a guest.
const roomScript = "vagrant/guest/room.sh"

// roomLine begins the output of a room's tests; the room's name follows.
const roomLine = "amp-lab: tests of "

// roomFile is the name of a room's test binary on the payload's drive.
func roomFile(room string) string { return "rooms/" + room + ".test" }

// addRooms builds the tests of the rooms that run in some guests and adds them to files.
func (f *flags) addRooms(ctx context.Context, files map[string]string, scratch string, guests []lab.Guest) error {
	files["room.sh"] = filepath.FromSlash(roomScript)
	for _, g := range guests {
		for _, room := range g.RoomsOf(f.nightly()) {
			if files[roomFile(room)] != "" {
				continue
			}
			if roomTests[room] == "" {
				return fmt.Errorf("guest %s: room %s: none of its tests is known to ask the kernel (vagrant/cmd/lab/rooms.go)", g.Name, room)
			}
			if err := addTests(ctx, files, scratch, room, roomFile(room)); err != nil {
				return err
			}
		}
	}
	return nil
}
