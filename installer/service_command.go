package installer

import (
	"context"

	"github.com/ampconnector/amp/internal/fault"
)

// ServiceCommand is what a person can do to our service with one command, on hosts with systemd and without.
type ServiceCommand string

const (
	StartService   = ServiceCommand(start)
	StopService    = ServiceCommand(stop)
	RestartService = ServiceCommand(Renew)
)

// RunService carries the command out. What the host forbids is no error: it is left, and told. The caller holds the lock.
func RunService(ctx context.Context, h *Host, c ServiceCommand) (left fault.Text, err error) {
	p := Plan{Name: "service", Items: serviceItems(ourFacts(), ServiceAction(c), Occasion{})}
	results, err := Run(ctx, h, p, Options{})
	for _, r := range results {
		if s, ok := r.Item.Step.(*Service); ok && s.Left != (fault.Text{}) {
			left = s.Left
		}
	}
	return left, err
}
