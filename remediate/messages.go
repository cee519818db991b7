package remediate

import (
	"fmt"

	"github.com/ampconnector/amp/internal/fault"
)

// message is a sentence of the tool with verbs of package fmt.
type message fault.Text

// with fills in the verbs, texts in the language of the sentence.
func (m message) with(args ...any) fault.Text {
	return fault.Text{EN: m.in(fault.English, args), JA: m.in(fault.Japanese, args)}
}

func (m message) in(l fault.Language, args []any) string {
	filled := make([]any, len(args))
	for i, arg := range args {
		if t, ok := arg.(fault.Text); ok {
			arg = t.In(l)
		}
		filled[i] = arg
	}
	return fmt.Sprintf(fault.Text(m).In(l), filled...)
}

// both is a text that has no translation: an error.
func both(s string) fault.Text { return fault.Text{EN: s, JA: s} }

// The last word on a fault.
var (
	msgNeverThere       = message{"Fault %d is not there: %s. Nothing was changed.", "フォールト %d は発生していません: %s。何も変更していません。"}
	msgGone             = message{"Fault %d is gone: %s.", "フォールト %d は解消しました: %s。"}
	msgStillThere       = message{"Fault %d is still there: %s.", "フォールト %d はまだ解消していません: %s。"}
	msgPerson           = message{"Fault %d is still there: what is left waits for a person, see the plan.", "フォールト %d はまだ解消していません。残りの手順は管理者による操作が必要です。計画を参照してください。"}
	msgUnknown          = message{"Fault %d is not known to be gone (%s). Nothing more was tried.", "フォールト %d が解消したかどうか不明です (%s)。これ以上の変更は行っていません。"}
	msgUnknownNeedsRoot = message{"Fault %d needs root to be judged (%s). Run this as root.", "フォールト %d の判定には root 権限が必要です (%s)。root で実行してください。"}
	msgNotJudged        = message{"Fault %d is not known: this version neither judges nor mends it.", "フォールト %d は不明です。このバージョンでは判定も修復も行いません。"}
	msgNoRemedy         = message{"Fault %d is still there: %s.", "フォールト %d はまだ解消していません: %s。"}
	msgNothingKnown     = message{"Fault %d is still there, and no step is known that would help.", "フォールト %d はまだ解消しておらず、有効な手順がありません。"}
	msgImage            = message{"Fault %d is there. An image is only inspected: nothing was changed.", "フォールト %d が発生しています。イメージは検査のみ行います。何も変更していません。"}
	msgDryRun           = message{"Fault %d is there. This was a dry run: nothing was changed.", "フォールト %d が発生しています。ドライランのため何も変更していません。"}
	msgNeedsRoot        = message{"Fault %d is there. Changes need root: run this as root. Nothing was changed.", "フォールト %d が発生しています。変更には root 権限が必要です。root で実行してください。何も変更していません。"}
	msgNoTerminal       = message{"Fault %d is there. Nobody can be asked, since the input is not a terminal: give --yes to apply the plan, or --dry-run to see it. Nothing was changed.", "フォールト %d が発生しています。入力が端末ではないため確認できません。計画を適用するには --yes、表示のみの場合は --dry-run を指定してください。何も変更していません。"}
	msgDeclined         = message{"Fault %d is still there. Nothing was changed.", "フォールト %d はまだ解消していません。何も変更していません。"}
	msgLocked           = message{"Fault %d is still there. Another program is changing this host: nothing was changed.", "フォールト %d はまだ解消していません。別のプログラムがこのホストを変更中のため、何も変更していません。"}
	msgInterrupted      = message{"Fault %d is still there: interrupted. Finished steps stay, and the next run carries on.", "フォールト %d はまだ解消していません。中断されました。完了した手順は維持され、次回の実行で続行します。"}
)

// What is said on the way.
var (
	msgRecovered = message{"An interrupted run was taken back: %s", "中断された実行を元に戻しました: %s"}
	msgProceed   = message{"Proceed? [y/N] ", "実行しますか? [y/N] "}
	msgHost      = message{"Host: %s, kernel %s, connector: %s", "ホスト: %s、カーネル %s、コネクタ: %s"}
	msgImageAt   = message{"Image at %s: only what its files say, nothing is changed.", "%s のイメージ: ファイルの内容のみに基づき、何も変更しません。"}
	msgNone      = message{"none installed", "未インストール"}
	msgNotKnown  = message{"not known", "不明"}
	msgEvidence  = message{"Evidence:", "根拠:"}
	msgExpected  = message{"expected: %s", "期待値: %s"}
	msgPlan      = message{"Plan:", "計画:"}
	msgByHand    = message{"By hand:", "手動での操作:"}
	msgPackages  = message{"packages: %s", "パッケージ: %s"}
	msgBecause   = message{"consequence of fault %d", "フォールト %d の結果"}
	msgMend      = message{"To see the plan: amp-remediate %[1]s --dry-run    To mend: amp-remediate %[1]s", "計画の確認: amp-remediate %[1]s --dry-run    修復: amp-remediate %[1]s"}
	msgCausedBy  = message{"Shown as a consequence while one of these is raised: %s", "次のフォールトの発生中は、その結果として表示されます: %s"}
	msgDetection = message{"How it is detected", "検出方法"}
	msgSources   = message{"Where the evidence comes from", "根拠の取得元"}
	msgRemedy    = message{"What the remedy does", "修復の内容"}
	msgCommands  = message{"What a person could type", "手動で実行する場合のコマンド"}
	msgUnbuilt   = message{"This version neither judges this fault nor mends it.", "このバージョンでは、このフォールトの判定も修復も行いません。"}
	msgMeaning   = message{"What it is", "概要"}
)

// outcomes are the words for what became of a step, as a person reads them.
var outcomes = map[string]message{
	"planned": {"planned", "予定"},
	"done":    {"done", "完了"},
	"skipped": {"already so", "変更不要"},
	"failed":  {"failed", "失敗"},
	"manual":  {"by hand", "手動"},
}

// states are the words for the state of a fault; JSON has the English ones.
var states = map[fault.State]message{
	fault.Raised:        {"raised", "発生中"},
	fault.Clear:         {"clear", "正常"},
	fault.Unknown:       {"unknown", "不明"},
	fault.NotApplicable: {"not applicable", "対象外"},
}

// severities are the words for severities.
var severities = map[fault.Severity]message{
	fault.Critical: {"critical", "重大"},
	fault.Major:    {"major", "中程度"},
	fault.Minor:    {"minor", "軽微"},
}
