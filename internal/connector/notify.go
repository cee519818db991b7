package connector

import (
	"log/slog"
	"sync"

	"github.com/coreos/go-systemd/v22/daemon"
)

// notifier tells the service manager, where there is one. One that no longer listens is mentioned once: an installer that started the
// daemon by hand only listens until it is ready.
func notifier(log *slog.Logger) func(string) {
	var once sync.Once
	return func(state string) {
		if _, err := daemon.SdNotify(false, state); err != nil {
			once.Do(func() { log.Debug("nobody listens to sd_notify", "error", err) })
		}
	}
}

// States of sd_notify(3).
const (
	notifyReady    = daemon.SdNotifyReady
	notifyStopping = daemon.SdNotifyStopping
	notifyWatchdog = daemon.SdNotifyWatchdog
	notifyStatus   = "STATUS="
)

// notifyReloading needs the monotonic time for Type=notify-reload (systemd 253).
func notifyReloading() string {
	return daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec()
}
