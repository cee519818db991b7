package remediate

import (
	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/health"
)

// fault8 and fault9 make the connector open its event source anew.
var (
	fault8 = monitorRemedy(fault.Text{
		EN: "the control socket of the daemon: which event source is open, and which of its own test events did not come",
		JA: "デーモンの制御ソケット: 有効なイベントソースと、届かなかったテストイベントの種類",
	})
	fault9 = fault8
)

func monitorRemedy(source fault.Text) remedy {
	return remedy{
		plan: planMonitor,
		sources: []fault.Text{
			source,
			{EN: "the two switches of the policy", JA: "ポリシーの二つの監視スイッチ"},
		},
		commands: []string{"ampcli status -v", "amp-install restart"},
	}
}

// planMonitor restarts the service: programs that were detached behind its back, maps that were frozen and buffers that others hold are
// made anew with it. A source that does not open at all is not helped by that; its reason is in the evidence.
func planMonitor(f *health.Facts, _ fault.Finding) []installer.Item {
	return installer.ServiceItems(f, installer.Renew)
}
