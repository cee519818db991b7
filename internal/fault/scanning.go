package fault

import "time"

var fault6 = Fault{
	ID: 6, Severity: Major, Judged: true,
	CausedBy: []ID{7}, // a service that cannot start is started over and over
	Name: Text{
		EN: "Scan service restarting frequently",
		JA: "スキャンサービスが頻繁に再起動しています",
	},
	Meaning: Text{
		EN: "The scan process died or stopped answering several times within a short while, and the connector started it again each time. Scanning goes on as well as it can, with growing pauses. " +
			"A file on which the process died twice is set aside: not scanned, never deleted, until the definitions or the engine change.",
		JA: "スキャンプロセスが短時間に何度も異常終了または応答停止し、そのつどコネクタが再起動しています。スキャンは再起動の間隔を広げながら可能な範囲で継続します。" +
			"同じファイルのスキャン中に 2 回異常終了した場合、そのファイルは定義またはエンジンが変わるまでスキャンの対象から外されます(削除されることはありません)。",
	},
	Detection: Text{
		EN: "The connector counts the ends of the scan process and the answers that missed their deadline within a sliding window. More than the limit, which the evidence shows, raise the fault; it clears by itself after ten quiet minutes.",
		JA: "コネクタが一定の期間内のスキャンプロセスの終了回数と、期限内に応答がなかった回数を数えます。根拠に示すしきい値を超えると発生し、10 分間問題がなければ自動的に解消します。",
	},
	Remedy: Text{
		EN: "Shows which files were being scanned at each death, the signal, the state of memory and the last lines of both logs; offers to exclude those paths, to drop the newest definitions, or to restart; then starts the service anew and has those files scanned again to prove it.",
		JA: "異常終了のたびにスキャンしていたファイル、シグナル、メモリーの状態、両方のログの末尾を示し、該当パスの除外、最新の定義の取り下げ、再起動のいずれかを提案します。その後、サービスを起動し直し、該当ファイルを再スキャンして確認します。",
	},
}

var fault7 = Fault{
	ID: 7, Severity: Critical, Judged: true, ToRaise: 10 * time.Second, // one start that was retried with success is no fault
	Name: Text{
		EN: "Scan service failed to start",
		JA: "スキャンサービスを開始できません",
	},
	Meaning: Text{
		EN: "The scan process cannot come up: the definitions do not load, the engine library is missing or of a version that cannot be used, or there is not enough memory. File scanning is off; monitoring goes on.",
		JA: "スキャンプロセスを起動できません。定義を読み込めない、エンジンのライブラリが存在しないか使用できないバージョンである、またはメモリーが不足しています。ファイルのスキャンは停止していますが、監視は継続します。",
	},
	Detection: Text{
		EN: "The scan process reports at its start how far it came: engine library opened, definitions checked and loaded, test file recognised. The step that was not reached, with its error, is the evidence. Where no daemon can be asked, a host without the engine library shows the fault by itself.",
		JA: "スキャンプロセスは起動時に、エンジンのライブラリのロード、定義の検査と読み込み、テストファイルの検出という各段階の結果を報告します。到達できなかった段階とそのエラーが根拠となります。デーモンに確認できない場合でも、エンジンのライブラリがないホストでは発生と判定します。",
	},
	Remedy: Text{
		EN: "Checks every definition file and says which one fails and why, keeps it aside, restores the last set that worked, compares memory with what loading needs, installs the engine library by the distribution's package, starts the service and proves it with a test scan.",
		JA: "すべての定義ファイルを検査して不正なファイルとその理由を示し、別の場所へ退避したうえで、最後に正常に動作した定義一式を復元します。さらに読み込みに必要なメモリーを確認し、ディストリビューションのパッケージからエンジンのライブラリを導入し、サービスを開始してテストスキャンで確認します。",
	},
}
