package health

import (
	"errors"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/policy"
)

var (
	wordScanService = fault.Text{EN: "scan service", JA: "スキャンサービス"}

	// errVendorScan: the vendor's log has no format that is documented, and none that could be told from one release to the next.
	errVendorScan = errors.New("only the vendor's connector can tell")
	errNotTold    = errors.New("the daemon has not said yet")

	wordScanning = fault.Text{EN: "scanning", JA: "スキャン"}
	scanOff      = fault.Text{EN: "scanning is off in the policy", JA: "ポリシーでスキャンが無効になっています"}
)

func scanWanted(p policy.Policy) bool { return p.Scan.Enabled }

// scanning gives the state of the scan service; false where the finding is made already.
func (q *inquiry) scanning(f *Facts) (control.Scan, *fault.Finding) {
	done := func(x fault.Finding) (control.Scan, *fault.Finding) { return control.Scan{}, &x }
	if !f.Found {
		return done(q.absent(f))
	}
	if !q.switchOn(f, wordScanning, scanWanted) {
		return done(q.notApplicable(scanOff))
	}
	if f.Connector.Vendor {
		q.missing(wordScanService, f.Connector.Binary, onlyContext, errVendorScan)
		return done(q.finding(fault.Text{}))
	}
	s, ok := known(q, wordScanService, f.Scanning, onlyContext)
	switch {
	case !ok:
		return done(q.finding(fault.Text{}))
	case s.State == control.ScanOff:
		q.saw(wordScanService, wordOff, f.Scanning.From, onlyContext)
		return done(q.notApplicable(scanOff))
	case s.State == "" || s.State == control.ScanUnknown:
		q.missing(wordScanService, scanSource(f), onlyContext, errNotTold)
		return done(q.finding(fault.Text{}))
	}
	return s, nil
}

// scanSource is where the state of the scan service was read.
func scanSource(f *Facts) string {
	if f.Scanning.From == "" {
		return control.Socket
	}
	return f.Scanning.From
}
