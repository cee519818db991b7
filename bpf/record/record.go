// Package record has the layout of the records in which the eBPF programs and the kernel modules tell of events, in C: one decoder serves both.
package record

import "embed"

// Headers are the C headers, for who compiles where this repository is not.
//
//go:embed *.h
var Headers embed.FS
