package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ampconnector/amp/cmd/internal/cmdline"
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
		Use: "check [FILE]", Short: "Check a policy file, this host's if none is named; exit code 2 if it cannot be used", Args: cmdline.Arguments(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			file := c.path(policy.Path)
			if len(args) > 0 {
				file = args[0]
			}
			return c.checkPolicy(file)
		},
	}
	return group(p, show, check)
}

// loadPolicy reads the policy of this host, which is the default one where there is no file.
func (c *command) loadPolicy() (policy.Policy, error) {
	p, err := policy.Load(c.path(policy.Path))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return p, err
}

// quarantineWords say which files are taken into the quarantine.
var quarantineWords = map[policy.Quarantine]fault.Text{
	policy.QuarantineOff:     {EN: "off", JA: "無効"},
	policy.QuarantineUnowned: {EN: "files that no package has brought", JA: "パッケージに属さないファイル"},
	policy.QuarantineAll:     {EN: "all files, those of packages too", JA: "すべてのファイル(パッケージのファイルを含む)"},
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
			"monitor": map[string]any{"files": p.MonitorFiles, "network": p.MonitorNetwork, "source": p.Source},
			"kernel":  map[string]string{"btf": p.BTFFolder, "key": p.ModuleKey.Key, "certificate": p.ModuleKey.Certificate},
			"limits":  map[string]int{"event_log_mib": p.Limits.EventLogMiB},
			"scan": map[string]any{
				"enabled": p.Scan.Enabled, "memory_mib": p.Scan.MemoryMiB, "file_mib": p.Scan.FileMiB, "workers": p.Scan.Workers, "unsigned": p.Scan.Unsigned,
				"quarantine": p.Scan.Quarantine, "schedules": schedulesJSON(p.Schedules),
			},
			"exclusions": exclusions,
		})
	}
	onOff := map[bool]fault.Text{true: {EN: "on", JA: "有効"}, false: {EN: "off", JA: "無効"}}
	lines := []fault.Text{
		fault.Text{EN: "File monitoring:     %s", JA: "ファイル監視: %s"}.With(onOff[p.MonitorFiles].In(c.language)),
		fault.Text{EN: "Network monitoring:  %s", JA: "ネットワーク監視: %s"}.With(onOff[p.MonitorNetwork].In(c.language)),
		fault.Text{EN: "Event source:        %s", JA: "イベントソース: %s"}.With(sourceWords[p.Source].In(c.language)),
		fault.Text{EN: "Scanning:            %s, with %s MiB at most", JA: "スキャン: %s (最大 %s MiB)"}.With(onOff[p.Scan.Enabled].In(c.language), fmt.Sprint(p.Scan.MemoryMiB)),
		fault.Text{EN: "Quarantine:          %s", JA: "隔離: %s"}.With(quarantineWords[p.Scan.Quarantine].In(c.language)),
		fault.Text{EN: "Event log:           %s MiB at most", JA: "イベントログ: 最大 %s MiB"}.With(fmt.Sprint(p.Limits.EventLogMiB)),
		fault.Text{EN: "Exclusions:          %s (see ampcli exclusions list)", JA: "除外: %s 件(ampcli exclusions list を参照)"}.With(fmt.Sprint(len(p.Exclusions.All()))),
	}
	if p.BTFFolder != "" {
		lines = append(lines, fault.Text{EN: "BTF files:           also in %s", JA: "BTF ファイル: %s も参照"}.With(word(p.BTFFolder)))
	}
	if p.ModuleKey.Key != "" {
		lines = append(lines, fault.Text{EN: "Modules are signed:  by %s, with %s", JA: "モジュールの署名: 鍵 %s、証明書 %s"}.With(word(p.ModuleKey.Key), word(p.ModuleKey.Certificate)))
	}
	for _, s := range p.Schedules {
		lines = append(lines, scheduleText(s))
	}
	for _, line := range lines {
		if err := c.say(line); err != nil {
			return err
		}
	}
	return nil
}

var sourceWords = map[policy.Source]fault.Text{
	policy.SourceAuto:    {EN: "the best that the kernel allows", JA: "カーネルが許す最良のもの"},
	policy.SourceModules: {EN: "kernel modules", JA: "カーネルモジュール"},
}

// scheduleText is a schedule on a line.
func scheduleText(s policy.Schedule) fault.Text {
	paths := make([]string, len(s.Paths))
	for i, p := range s.Paths {
		paths[i] = word(p)
	}
	missed := fault.Text{EN: "left out if missed", JA: "実行漏れは省略"}
	if s.RunMissed {
		missed = fault.Text{EN: "made up for if missed", JA: "実行漏れは後で実行"}
	}
	return fault.Text{
		EN: fmt.Sprintf("Schedule %s:  %s, up to %d minutes later, %s: %s", s.Name, s.On, int(s.Delay.Minutes()), missed.EN, strings.Join(paths, " ")),
		JA: fmt.Sprintf("スケジュール %s: %s (遅延 最大 %d 分、%s): %s", s.Name, s.On, int(s.Delay.Minutes()), missed.JA, strings.Join(paths, " ")),
	}
}

// schedulesJSON are schedules as the policy file has them.
func schedulesJSON(schedules []policy.Schedule) []map[string]any {
	all := make([]map[string]any, len(schedules))
	for i, s := range schedules {
		all[i] = map[string]any{
			"name": s.Name, "on": s.On.String(), "delay_minutes": int(s.Delay.Minutes()), "run_missed": s.RunMissed, "cross_file_systems": s.CrossFileSystems, "paths": s.Paths,
		}
	}
	return all
}

func (c *command) checkPolicy(file string) error {
	_, err := policy.Load(file)
	if err != nil {
		return of(errUnusable, err)
	}
	if c.output == "json" {
		return c.json(map[string]any{"file": file, "ok": true})
	}
	return c.say(fault.Text{EN: "%s: can be used", JA: "%s: 使用できます"}.With(file))
}
