package bpf

import (
	"slices"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/monitor"
)

// blindSpot is what a hook set cannot see.
type blindSpot struct {
	sets hookSet
	monitor.BlindSpot
}

// knownBlindSpots are those that a set has on every kernel; docs/events.md has them as a table.
var knownBlindSpots = slices.Concat(fileBlindSpots, networkBlindSpots, systemBlindSpots)

var notAttached = fault.Text{
	EN: "The program on %s does not work on this kernel: %v",
	JA: "%s に接続するプログラムはこのカーネルで動作しません: %v",
}

// noMounts is what paths lack without the structure of mounts, which headers do not have.
var noMounts = fault.Text{
	EN: "Where file systems are mounted: paths begin at the root of the file system that the file is on (%v)",
	JA: "ファイルシステムのマウント位置: パスはファイルが属するファイルシステムのルートから始まります (%v)",
}

// blindSpots are the set's, and the hooks that did not work.
func (l *loaded) blindSpots() []monitor.BlindSpot {
	var all []monitor.BlindSpot
	for _, b := range knownBlindSpots {
		if b.sets&l.set != 0 {
			all = append(all, b.BlindSpot)
		}
	}
	for h := range l.hooks() {
		if err := l.failed[h.program]; err != nil {
			all = append(all, monitor.BlindSpot{Kinds: h.kinds, What: notAttached.With(h.to, err)})
		}
	}
	return all
}
