package health

import (
	"testing"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/monitor"
)

func TestWhatIsAskedOfModules(t *testing.T) {
	asks := func(change func(*host.ModuleLoading)) func(*Facts) {
		return func(f *Facts) {
			m := &f.Host.ModuleLoading
			m.SecureBoot.On.From = "efivars"
			m.Enforced, m.Lockdown = host.Read(false, "sig_enforce"), host.Read(host.NoLockdown, "lockdown")
			monitored(Monitoring{Source: monitor.NoSource})(f)
			change(m)
		}
	}
	for _, r := range []row{
		{"nothing", asks(func(*host.ModuleLoading) {}), fault.Raised, []string{CauseNotMonitors}, "", "no signature"},
		{"enforced", asks(func(m *host.ModuleLoading) { m.Enforced.Value = true }), fault.Raised, []string{CauseNotMonitors}, "", "a signature"},
		{"lockdown", asks(func(m *host.ModuleLoading) { m.Lockdown.Value = host.LockdownIntegrity }), fault.Raised, []string{CauseNotMonitors}, "", "a signature (lockdown: integrity)"},
		{"disabled", asks(func(m *host.ModuleLoading) { m.Disabled = host.Read(true, "modules_disabled") }), fault.Raised, []string{CauseNotMonitors}, "", "none is loaded any more"},
		{"not known", asks(func(m *host.ModuleLoading) { m.Lockdown.Err = errDenied }), fault.Raised, []string{CauseNotMonitors}, "", "not known: permission denied"},
		{"Secure Boot", asks(func(m *host.ModuleLoading) { m.SecureBoot.On.Value = true }), fault.Raised, []string{CauseNotMonitors}, "", "on"},
	} {
		t.Run(r.name, func(t *testing.T) { r.run(t, rule8) })
	}
}
