package control

import "github.com/ampconnector/amp/internal/fault"

// word is a word or a format of the status that a person reads.
func word(key string, l fault.Language) string { return words[key].In(l) }

var words = map[string]fault.Text{
	"status":    {EN: "Status", JA: "ステータス"},
	"mode":      {EN: "Mode", JA: "モード"},
	"scan":      {EN: "Scan", JA: "スキャン"},
	"last scan": {EN: "Last Scan", JA: "前回のスキャン"},
	"policy":    {EN: "Policy", JA: "ポリシー"},
	"source":    {EN: "Source", JA: "イベントソース"},
	"events":    {EN: "Events", JA: "イベント"},
	"canary":    {EN: "Canary", JA: "カナリア"},
	"faults":    {EN: "Faults", JA: "フォールト"},
	"fault ids": {EN: "Fault IDs", JA: "フォールト ID"},
	"evaluated": {EN: "Evaluated", JA: "最終評価"},
	"kernel":    {EN: "Kernel", JA: "カーネル"},
	"connector": {EN: "Connector", JA: "コネクタ"},
	"event log": {EN: "Event Log", JA: "イベントログ"},
	"ledger":    {EN: "Ledger", JA: "フォールト台帳"},

	"running":     {EN: "Running (pid %d, version %s, since %s)", JA: "動作中(PID %d、バージョン %s、開始 %s)"},
	"not running": {EN: "Not running. What follows is from the fault ledger.", JA: "動作していません。以下はフォールト台帳の内容です。"},
	"none":        {EN: "None", JA: "なし"},
	"not known":   {EN: "Not known", JA: "不明"},
	"never":       {EN: "Never", JA: "未実施"},

	"mode normal":   {EN: "Normal", JA: "通常"},
	"mode degraded": {EN: "Degraded", JA: "縮退"},
	"mode none":     {EN: "None (nothing is monitored)", JA: "なし(監視は行われていません)"},

	"scan absent":    {EN: "Not there yet in this version", JA: "このバージョンにはまだありません"},
	"policy sound":   {EN: "%s: file monitoring %s, network monitoring %s", JA: "%s: ファイル監視 %s、ネットワーク監視 %s"},
	"policy default": {EN: "default, since there is no %s", JA: "既定値(%s はありません)"},
	"policy bad":     {EN: "Cannot be used: %s", JA: "使用できません: %s"},
	"on":             {EN: "on", JA: "有効"},
	"off":            {EN: "off", JA: "無効"},

	"source none":  {EN: "none: nothing is monitored: %s", JA: "なし: 監視は行われていません: %s"},
	"source since": {EN: "%s since %s (%s)", JA: "%s、%s から(%s)"},
	"events count": {EN: "%d handled, %d lost (%.2f %%)", JA: "処理 %d 件、損失 %d 件(%.2f %%)"},
	"canary ok":    {EN: "seen at %s (%s)", JA: "%s に確認(%s)"},
	"canary bad":   {EN: "NOT SEEN at %s: %s", JA: "%s に確認できませんでした: %s"},
	"canary none":  {EN: "none sent", JA: "未送信"},

	"critical": {EN: "Critical", JA: "重大"},
	"major":    {EN: "Major", JA: "高"},
	"minor":    {EN: "Minor", JA: "低"},

	"fault line": {EN: "ID %d - %s: %s. %s", JA: "ID %d - %s: %s。%s"},
	"to do":      {EN: "To do: amp-remediate %d", JA: "対処: amp-remediate %d"},
	"caused":     {EN: "A consequence of fault %d; mend that one first: amp-remediate %d", JA: "フォールト %d の影響です。先にそちらへ対処してください: amp-remediate %d"},
	"doubt":      {EN: "It cannot be told at the moment whether it is still there: %s", JA: "現在も続いているかどうかを判定できません: %s"},
	"gone":       {EN: "Not seen since %s; it clears by itself when that lasts", JA: "%s 以降は検出されていません。この状態が続けば自動的に解消します"},
	"pending":    {EN: "ID %d - seen since %s, not raised yet: %s. %s", JA: "ID %d - %s から検出、未確定: %s。%s"},
	"quiet":      {EN: "ID %d - %s: %s. %s", JA: "ID %d - %s: %s。%s"},
	"change":     {EN: "%s ID %d %s: %s. %s", JA: "%s ID %d %s: %s。%s"},
	"evidence":   {EN: "%s: read %s (%s)", JA: "%s: 実際の値 %s(%s)"},
	"expected":   {EN: ", expected %s", JA: "、期待される値 %s"},
	"log state":  {EN: "%s, %d events could not be written", JA: "%s、書き込めなかったイベント %d 件"},

	"state raised":         {EN: "raised", JA: "発生中"},
	"state clear":          {EN: "clear", JA: "なし"},
	"state unknown":        {EN: "unknown", JA: "不明"},
	"state not-applicable": {EN: "not applicable", JA: "対象外"},
}
