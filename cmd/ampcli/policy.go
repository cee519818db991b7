package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/policy"
)

func (c *command) policy() *cobra.Command {
	p := &cobra.Command{
		Use: "policy", Short: "Show or check the policy", Args: cobra.NoArgs,
		Long: "The policy stands in " + policy.Path + ". The daemon reads it when it changes; where it cannot be used, the policy before stays in force and the status says so.",
	}
	show := &cobra.Command{
		Use: "show", Short: "Show the policy of this host", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return c.showPolicy() },
	}
	check := &cobra.Command{
		Use: "check [FILE]", Short: "Check a policy file, this host's if none is named; exit code 2 if it cannot be used", Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			file := c.path(policy.Path)
			if len(args) > 0 {
				file = args[0]
			}
			return c.checkPolicy(file)
		},
	}
	p.AddCommand(show, check)
	return p
}

// loadPolicy reads the policy of this host, which is the default one where there is no file.
func (c *command) loadPolicy() (policy.Policy, error) {
	p, err := policy.Load(c.path(policy.Path))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return p, err
}

func (c *command) showPolicy() error {
	p, err := c.loadPolicy()
	if err != nil {
		return err
	}
	if c.output == "json" {
		exclusions := p.Exclusions.All()
		return c.json(map[string]any{
			"file":    policy.Path,
			"monitor": map[string]bool{"files": p.MonitorFiles, "network": p.MonitorNetwork},
			"limits":  map[string]int{"event_log_mib": p.Limits.EventLogMiB},
			"scan": map[string]any{
				"enabled": p.Scan.Enabled, "memory_mib": p.Scan.MemoryMiB, "file_mib": p.Scan.FileMiB, "workers": p.Scan.Workers, "unsigned": p.Scan.Unsigned,
			},
			"exclusions": exclusions,
		})
	}
	onOff := map[bool]fault.Text{true: {EN: "on", JA: "有効"}, false: {EN: "off", JA: "無効"}}
	lines := []fault.Text{
		fault.Text{EN: "File monitoring:     %s", JA: "ファイル監視: %s"}.With(onOff[p.MonitorFiles].In(c.language)),
		fault.Text{EN: "Network monitoring:  %s", JA: "ネットワーク監視: %s"}.With(onOff[p.MonitorNetwork].In(c.language)),
		fault.Text{EN: "Scanning:            %s, with %s MiB at most", JA: "スキャン: %s (最大 %s MiB)"}.With(onOff[p.Scan.Enabled].In(c.language), fmt.Sprint(p.Scan.MemoryMiB)),
		fault.Text{EN: "Event log:           %s MiB at most", JA: "イベントログ: 最大 %s MiB"}.With(fmt.Sprint(p.Limits.EventLogMiB)),
		fault.Text{EN: "Exclusions:          %s (see ampcli exclusions list)", JA: "除外: %s 件(ampcli exclusions list を参照)"}.With(fmt.Sprint(len(p.Exclusions.All()))),
	}
	for _, line := range lines {
		if err := c.say(line); err != nil {
			return err
		}
	}
	return nil
}

func (c *command) checkPolicy(file string) error {
	_, err := policy.Load(file)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnusable, err)
	}
	if c.output == "json" {
		return c.json(map[string]any{"file": file, "ok": true})
	}
	return c.say(fault.Text{EN: "%s: can be used", JA: "%s: 使用できます"}.With(file))
}
