package host

import "io/fs"

// Connector is what differs between this project's connector and the vendor's. A further connector is one more row.
type Connector struct {
	Name        string // "amp-connector", "ciscoampconnector"
	Package     string // name for the package manager
	Vendor      bool   // not this project's
	Unit        string // systemd unit
	Binary      string // the daemon's program file, which is how the connector is recognised
	ScanAccount string // user and group of the scan process
	PolicyFile  string
	Module      string // SELinux policy module
	Directories []Directory
	Marker      string // file that only this connector's package has; "" if none is known
}

// DefaultDomain is the SELinux type that services without a policy of their own run in on Enterprise Linux.
const DefaultDomain = "unconfined_service_t"

// Connectors is the table of known connectors.
var Connectors = []Connector{
	{
		Name: "amp-connector", Package: "amp-connector", Unit: "cisco-amp.service", Binary: "/opt/cisco/amp/bin/ampdaemon",
		ScanAccount: "cisco-amp-scan-svc", PolicyFile: "/opt/cisco/amp/etc/policy.xml", Module: "cisco-secure-bpf",
		Marker: "/opt/cisco/amp/bin/amp-install",
		Directories: []Directory{
			{"/opt/cisco", 0o755, "root", "root"},
			{"/opt/cisco/amp", 0o755, "root", "root"},
			{"/opt/cisco/amp/bin", 0o755, "root", "root"},
			{"/opt/cisco/amp/etc", 0o755, "root", "root"},
			{"/opt/cisco/amp/share", 0o755, "root", "root"},
			{"/var/lib/cisco", 0o755, "root", "root"},
			{"/var/lib/cisco/amp", 0o755, "root", "root"},
			{"/var/log/cisco", 0o755, "root", "root"},
		},
	},
	{
		Name: "ciscoampconnector", Package: "ciscoampconnector", Vendor: true, Unit: "cisco-amp.service", Binary: "/opt/cisco/amp/bin/ampdaemon",
		ScanAccount: "cisco-amp-scan-svc", PolicyFile: "/opt/cisco/amp/etc/policy.xml", Module: "cisco-secure-bpf",
		Directories: []Directory{
			{"/opt/cisco", 0o755, "root", "root"},
			{"/opt/cisco/amp", 0o755, "root", "root"},
			{"/opt/cisco/amp/bin", 0o755, "root", "root"},
			{"/opt/cisco/amp/etc", 0o755, "root", "root"},
			{"/var/log/cisco", 0o755, "root", "root"},
		},
	},
}

// modeOf keeps the permission bits, setuid, setgid and sticky of m.
func modeOf(m fs.FileMode) fs.FileMode {
	return m & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
}
