package fault

var fault18 = Fault{
	ID: 18, Severity: Critical, ToRaise: burstPasses, Judged: true,
	CausedBy: []ID{19, 16, 11, 8, 9}, // each leaves the degraded source, which carries less; 8 and 9 not where a source is only blind
	Name: Text{
		EN: "Connector event monitoring overloaded",
		JA: "コネクタのイベント監視が過負荷です",
	},
	Meaning: Text{
		EN: "Events arrive faster than they can be handled, and not just for a moment; it is critical when that persists or events are lost. Until activity falls, monitoring inside the kernel shrinks to the events that matter most. Every lost event is counted.",
		JA: "処理能力を超える速さでイベントが一時的でなく発生し続けています。この状態が続くか、イベントが失われると重大になります。負荷が下がるまで、カーネル内の監視対象は特に重要なイベントに絞られます。失われたイベントはすべて数えられます。",
	},
	Detection: Text{
		EN: "The fill of the event buffers, the delay of handling and the count of lost events are measured over sliding windows. The fault clears by itself when the full set of events is handled again.",
		JA: "イベントバッファの使用率、処理の遅延、失われたイベントの数を一定の期間で計測します。すべての種類のイベントを再び処理できるようになると自動的に解消します。",
	},
	Remedy: Text{
		EN: "Shows the busiest processes with path, user, parent, package and rates, and offers to exclude chosen ones in the kernel at once, or to take exclusions back. It never excludes by itself. If nothing benign stands out it says that the cause may be malicious, or that the machine is too small, with the figures.",
		JA: "特に活発なプロセスのパス、ユーザー、親プロセス、パッケージ、イベント頻度を示し、選択したプロセスをカーネル内で直ちに除外すること、または除外を取り消すことを提案します。自動的に除外することはありません。無害な原因が見当たらない場合は、悪意のある活動またはマシンの能力不足の可能性を数値とともに示します。",
	},
}
