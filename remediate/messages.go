package remediate

import "github.com/ampconnector/amp/internal/fault"

// message is a sentence of the tool with verbs of package fmt.
type message fault.Text

// with fills in the verbs, texts in the language of the sentence.
func (m message) with(args ...any) fault.Text { return fault.Text(m).With(args...) }

// wrong is the sentence as an error; see fault.Errorf.
func (m message) wrong(args ...any) error { return fault.Errorf(fault.Text(m), args...) }

// The last word on a fault.
var (
	msgNeverThere       = message{"Fault %d is not there: %s. Nothing was changed.", "フォールト %d は発生していません: %s。何も変更していません。"}
	msgGone             = message{"Fault %d is gone: %s.", "フォールト %d は解消しました: %s。"}
	msgStillThere       = message{"Fault %d is still there: %s.", "フォールト %d はまだ解消していません: %s。"}
	msgPerson           = message{"Fault %d is still there: %s. What is left waits for a person, see the plan.", "フォールト %d はまだ解消していません: %s。残りの手順は管理者による操作が必要です。計画を参照してください。"}
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

// The last word where exclusions were asked for.
var (
	msgExcludedGone   = message{"The exclusions are as asked. Fault %d is gone: %s.", "除外設定は指定どおりです。フォールト %d は解消しました: %s。"}
	msgExcludedAbsent = message{"The exclusions are as asked. Fault %d is not there: %s.", "除外設定は指定どおりです。フォールト %d は発生していません: %s。"}
	msgExcludedWaits  = message{
		"The exclusions are as asked. Fault %d is still there: it clears by itself once events have come slowly enough for a while, at the earliest %s after monitoring was reduced and %s after it became calm. See: ampcli status. Now: %s.",
		"除外設定は指定どおりです。フォールト %d はまだ解消していません。イベントの頻度が十分に下がった状態が続けば自動的に解消します (早くて監視の縮小から %s 後、かつ沈静化から %s 後)。確認: ampcli status。現在: %s。",
	}
	msgExcludedUnknown = message{"The exclusions are as asked. Whether fault %d is there is not known: %s.", "除外設定は指定どおりです。フォールト %d の有無は不明です: %s。"}
	msgExclusionDryRun = message{"This was a dry run: nothing was changed. Fault %d is not seen.", "ドライランのため何も変更していません。フォールト %d は検出されていません。"}
	msgExclusionKept   = message{"Nothing was changed. Fault %d is not seen.", "何も変更していません。フォールト %d は検出されていません。"}
	msgExclusionRoot   = message{"Changes need root: run this as root. Nothing was changed. Fault %d is not seen.", "変更には root 権限が必要です。root で実行してください。何も変更していません。フォールト %d は検出されていません。"}
	msgExclusionAsk    = message{"Nobody can be asked, since the input is not a terminal: give --yes to apply the plan, or --dry-run to see it. Nothing was changed. Fault %d is not seen.", "入力が端末ではないため確認できません。計画を適用するには --yes、表示のみの場合は --dry-run を指定してください。何も変更していません。フォールト %d は検出されていません。"}
	msgExclusionLocked = message{"Another program is changing this host: nothing was changed. Fault %d is not seen.", "別のプログラムがこのホストを変更中のため、何も変更していません。フォールト %d は検出されていません。"}
	msgExclusionImage  = message{"An image is only inspected: nothing was changed. Whether fault %d is there, only the running host can tell.", "イメージは検査のみ行います。何も変更していません。フォールト %d の有無は稼働中のホストでのみ判定できます。"}
)

// The last word on a scan service that was started anew.
var (
	msgEndedAgain   = message{"Fault %d is still there: the scan service ended again at %s, %s. See the plan.", "フォールト %d はまだ解消していません。スキャンサービスが %s に再び終了しました (%s)。計画を参照してください。"}
	msgGoneAndEnded = message{
		"Fault %d is gone: %s. The scan service ended once more at %s, %s; what it ends at twice is not scanned any more.",
		"フォールト %d は解消しました: %s。スキャンサービスは %s にもう一度終了しました (%s)。2 回終了させたファイルは以後スキャンされません。",
	}
	msgEndsWait = message{
		"The scan service was started anew and has not ended since. Fault %d is still there: it clears by itself after %s without an end. Now: %s.",
		"スキャンサービスを再起動し、その後の終了はありません。フォールト %d はまだ解消していません。%s 間終了がなければ自動的に解消します。現在: %s。",
	}
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
	msgPolicy    = message{"%[1]s for the domain %[2]s. Save as %[1]s.cil, then:", "ドメイン %[2]s 用の %[1]s。%[1]s.cil として保存し、次のコマンドを実行してください:"}
	msgMeaning   = message{"What it is", "概要"}
)

// What is said of a support archive.
var (
	msgBundle          = message{"Support archive: %s (%d bytes, %d files beside its MANIFEST.json)", "サポートアーカイブ: %s (%d バイト、MANIFEST.json のほか %d ファイル)"}
	msgBundleRemoved   = message{"Secrets removed: %d", "取り除いた秘密情報: %d"}
	msgBundleUnread    = message{"Could not be read:", "読み取れなかったもの:"}
	msgBundleLeftOut   = message{"Left out:", "含めなかったもの:"}
	msgBundleCut       = message{"Too long, only the end of it is there (bytes kept / of):", "長すぎるため末尾のみ (含めたバイト数 / 全体):"}
	msgBundleLocal     = message{"Nothing was sent anywhere. Names of hosts and users, addresses and paths are in it: look through it before you give it away.", "どこにも送信していません。ホスト名、ユーザー名、アドレス、パスが含まれています。渡す前に内容を確認してください。"}
	msgBundleNeedsRoot = message{"It lacks what only root may read. Run this as root for the whole.", "root のみが読み取れるものは含まれていません。すべてを含めるには root で実行してください。"}
)

// What is wrong with a command line, or with what it names.
var (
	errNotANumber       = message{"%q is not a fault number: expected %s, or all", "%q はフォールト番号ではありません。%s のいずれか、または all を指定してください"}
	errNoSuchFault      = message{"there is no fault %d: known are %s", "フォールト %d は存在しません。有効な番号は %s です"}
	errNoRoot           = message{"--root %s: there is no such directory", "--root %s: ディレクトリが存在しません"}
	errRootIsNone       = message{"--root %s: expected a directory", "--root %s: ディレクトリを指定してください"}
	errRoot             = message{"--root %s: %v", "--root %s: ディレクトリを確認できません: %v"}
	errKernel           = message{"%v", "対象のカーネルを特定できません: %v"}
	errOtherKernel      = message{"--kernel judges a kernel that does not run, and a remedy changes the running host: use it with check, --dry-run or --root", "--kernel は動作中でないカーネルを判定するためのもので、修復は動作中のホストを変更します。check、--dry-run または --root とともに使用してください"}
	errExplainJSON      = message{"explain has no JSON output", "explain は JSON 出力に対応していません"}
	errPolicyAlone      = message{"--print-policy stands with fault 19 alone: amp-remediate 19 --print-policy", "--print-policy はフォールト 19 のみに指定できます: amp-remediate 19 --print-policy"}
	errPolicyJSON       = message{"--print-policy prints the module's source and has no JSON output", "--print-policy はモジュールのソースを出力するもので、JSON 出力に対応していません"}
	errPolicySource     = message{"policy module %s for %s: %v", "%[2]s 用のポリシーモジュール %[1]s を作成できません: %[3]v"}
	errExcludeAlone     = message{"--exclude, --include and --children stand with fault 18 alone, --exclude with fault 6 too: amp-remediate 18 --exclude FILE", "--exclude、--include、--children はフォールト 18 のみに指定できます (--exclude はフォールト 6 にも可): amp-remediate 18 --exclude FILE"}
	errIncludeAlone     = message{"--include and --children stand with fault 18 alone; ampcli exclusions remove takes back what fault 6 left out", "--include と --children はフォールト 18 のみに指定できます。フォールト 6 で除外したものは ampcli exclusions remove で取り消せます"}
	errRollbackAlone    = message{"--rollback stands with fault 6 or 7 alone: amp-remediate 6 --rollback", "--rollback はフォールト 6 または 7 のみに指定できます: amp-remediate 6 --rollback"}
	errBootAlone        = message{"--boot stands with fault 11 or 16 alone: amp-remediate 16 --boot RELEASE", "--boot はフォールト 11 または 16 のみに指定できます: amp-remediate 16 --boot RELEASE"}
	errBoot             = message{"--boot: %v", "--boot の指定を使用できません: %v"}
	errNoKernel         = message{"--boot %s: %s has no such kernel", "--boot %s: そのカーネルは %s にありません"}
	errNoKernelAnywhere = message{"--boot %s: %s has no such kernel, and the host's repositories have no package %s, as far as their lists are known", "--boot %s: そのカーネルは %s になく、ホストのリポジトリの一覧にもパッケージ %s がありません"}
	errKernelUnknown    = message{"--boot %s: %s has no such kernel, and it is not known whether the host's repositories have the package %s: %v", "--boot %s: そのカーネルは %s になく、ホストのリポジトリにパッケージ %s があるかどうかも確認できません: %v"}
	errChildren         = message{"--children stands with --exclude", "--children は --exclude とともに指定してください"}
	errExcludeBoth      = message{"%s: --exclude and --include contradict each other", "%s: --exclude と --include は同時に指定できません"}
	errExclude          = message{"--exclude: %v", "--exclude の指定を使用できません: %v"}
	errInclude          = message{"--include: %v", "--include の指定を使用できません: %v"}
	errNoProgram        = message{"%s: expected the path of a program file", "%s: 実行ファイルのパスを指定してください"}
	errNotExcluded      = message{"%s: it is not excluded, and there is no such program file", "%s: 除外されておらず、そのような実行ファイルもありません"}
	errSetBefore        = message{"the set before, %s, was set aside: %s", "以前の定義 %s は退避済みです: %s"}
	errBadFile          = message{"%v", "ファイルの内容を解釈できません: %v"}
	errBundle           = message{"support archive %s: %v", "サポートアーカイブ %s を作成できません: %v"}
	errBundleThere      = message{"support archive %s: it exists already, and nothing is overwritten", "サポートアーカイブ %s: すでに存在するため上書きしません"}
	errBundleTo         = message{"--to %q: expected the path of a file", "--to %q: ファイルのパスを指定してください"}
	errBundleEnded      = message{"interrupted", "中断されました"}
	errBundleFull       = message{"its %d bytes are more than the archive takes", "%d バイトあり、アーカイブの上限を超えます"}
	errBundleEvents     = message{"command lines and paths of users are in it; --events puts it in", "ユーザーのコマンドラインとパスが含まれるためです。--events を指定すると含めます"}
	errEvaluate         = message{"ask the connector to evaluate its faults: %v", "コネクタにフォールトの再評価を要求できません: %v"}
	errNoRemedy         = message{"this version has no remedy for it", "このバージョンには修復手順がありません"}
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
