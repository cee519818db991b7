package installer

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/ampconnector/amp/internal/health"
)

// InstallPlan is what an install does on a host: directories, account, policy module, service. Every item is optional: one
// that fails does not stop the rest, and what it leaves is a fault with a remedy.
func InstallPlan(f *health.Facts) Plan {
	format := "rpm"
	if f.Host.PackageManager.Value.Name == "apt" {
		format = "deb"
	}
	return installPlan(f, EnableAndStart, Occasion{Format: format, First: true})
}

// installPlan is InstallPlan for an occasion; act "" leaves the service alone. It is our package that is installed, whatever
// connector the facts were gathered for.
func installPlan(f *health.Facts, act ServiceAction, o Occasion) Plan {
	var items []Item
	items = append(items, DirectoryItems(f)...)
	items = append(items, AccountItems(f)...)
	items = append(items, PolicyModuleItems(f)...)
	if act != "" {
		items = append(items, serviceItems(ourFacts(), act, o)...)
	}
	return Plan{Name: "install", Items: optional(withoutPackages(items))}
}

// withoutPackages leaves the installation of packages to a person: the package manager holds its lock while a hook runs.
func withoutPackages(items []Item) []Item {
	for i, item := range items {
		if p, ok := item.Step.(*Packages); ok {
			items[i] = Item{Manual: strings.Join(p.Commands(), "; ") + ", then: amp-remediate all", Packages: p.Names}
		}
	}
	return items
}

func optional(items []Item) []Item {
	for i := range items {
		items[i].Optional = true
	}
	return items
}

// Doctor writes what an install would do on this host, for a person, and changes nothing. It reports whether an install would
// get everything done by itself.
func Doctor(ctx context.Context, h *Host, f *health.Facts, out io.Writer) (bool, error) {
	results, err := Run(ctx, h, InstallPlan(f), Options{DryRun: true})
	if err != nil {
		return false, err
	}
	fmt.Fprintf(out, "An install on this host (%s) would:\n", hostName(f))
	whole := true
	for _, r := range results {
		whole = doctorLine(out, r) && whole
	}
	if len(results) == 0 {
		fmt.Fprintln(out, "  change nothing: all is as it should be")
	}
	return whole, nil
}

// doctorLine writes one result of a dry run and reports whether an install would get it done.
func doctorLine(out io.Writer, r Result) bool {
	if r.Outcome == Manual {
		fmt.Fprintf(out, "  leave to you: %s\n", r.Item.Manual)
		return false
	}
	if s, ok := r.Item.Step.(*Service); ok && s.Left != "" {
		fmt.Fprintf(out, "  leave: %s\n", s.Left)
		return false
	}
	switch r.Outcome {
	case Skipped:
		fmt.Fprintf(out, "  find already done: %s\n", r.Item.Step.Title())
	case Failed:
		fmt.Fprintf(out, "  not know how to %s: %v\n", r.Item.Step.Title(), r.Err)
		return false
	default:
		fmt.Fprintf(out, "  %s\n", r.Item.Step.Title())
		for _, c := range r.Item.Step.Commands() {
			fmt.Fprintf(out, "      %s\n", c)
		}
	}
	return true
}

func hostName(f *health.Facts) string {
	if d := f.Host.Distribution; d.Known() && d.Value.Name != "" {
		return d.Value.Name
	}
	return "of unknown distribution"
}
