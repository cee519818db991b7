// Package kmod is the event source of kernel modules: ampfsm tells of processes and files, ampnetworkflow of network flows (src/). It loads them and
// reads their rings; it judges no fault.
package kmod

import "github.com/ampconnector/amp/internal/monitor"

// The modules, by the names that the kernel has them under.
const (
	FileModule    = "ampfsm"
	NetworkModule = "ampnetworkflow"
)

// module is one of the source's.
type module struct {
	name  string
	kinds monitor.Kinds // that it tells
}

// file is its name as a file.
func (m *module) file() string { return m.name + ".ko" }

var modules = []module{
	{FileModule, monitor.FileKinds | monitor.KindsOf(monitor.Exec, monitor.Exit)},
	{NetworkModule, monitor.NetworkKinds},
}

// hooks names how the modules are attached.
const hooks = "tracepoints and kprobes of modules"
