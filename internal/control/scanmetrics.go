package control

var scanStates = []string{string(ScanStarting), string(ScanReady), string(ScanWaiting), string(ScanFailed), string(ScanOff)}

// metrics of a service that is off are its state alone.
func (s Scan) metrics() []metric {
	all := []metric{{"amp_scan_state", "gauge", "What the scan service is doing.", oneOf("state", string(s.State), scanStates...)}}
	if s.State == ScanOff || s.State == ScanUnknown {
		return all
	}
	asRoot, builtIn, signatures := unknown, unknown, unknown
	if s.State == ScanReady {
		asRoot, builtIn, signatures = yes(s.AsRoot), yes(s.BuiltIn), float64(s.Signatures)
	}
	all = append(all, s.Quarantine.metrics()...)
	return append(all, []metric{
		{"amp_scan_files_total", "counter", "Files by what became of them, since the daemon started.", []sample{
			{[]string{"outcome", "scanned"}, float64(s.Scanned)}, {[]string{"outcome", "known"}, float64(s.Known)},
			{[]string{"outcome", "failed"}, float64(s.Failures)}, {[]string{"outcome", "dropped"}, float64(s.Dropped)},
		}},
		{"amp_detections_total", "counter", "Detections, since the daemon started.", []sample{{nil, float64(s.Found)}}},
		gauge("amp_scan_queue_files", "Files that wait to be scanned.", float64(s.Queued)),
		gauge("amp_scan_ends", "Ends of the scan service that nobody asked for, since it last was quiet.", float64(len(s.Ends))),
		gauge("amp_scan_as_root", "Whether files are scanned as root, since the scan user cannot be used.", asRoot),
		gauge("amp_scan_memory_bytes", "Resident memory of the scan service.", float64(s.MemoryBytes)),
		gauge("amp_scan_last_time_seconds", "When a scan last ended, since 1970.", seconds(s.Last)),
		gauge("amp_definitions_built_in", "Whether nothing but the built-in definitions is loaded.", builtIn),
		gauge("amp_definitions_signatures", "Signatures that are loaded.", signatures),
	}...)
}

// metrics are none where nothing is known.
func (q *Quarantine) metrics() []metric {
	if q == nil {
		return nil
	}
	return []metric{
		gauge("amp_quarantine_files", "Files in quarantine.", float64(q.Files)),
		gauge("amp_quarantine_bytes", "What they take.", float64(q.Bytes)),
		gauge("amp_quarantine_max_bytes", "What files in quarantine may take at most.", float64(q.MaxBytes)),
	}
}
