package health

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
	"github.com/ampconnector/amp/internal/terminal"
)

// CauseStart is the cause of fault 7 where the daemon names none that this program knows. The others are those of control, ScanLibraryMissing
// and so on.
const CauseStart = "start"

// rule7 reports fault 7: the scan service cannot come up. A host that has no definitions but the built-in ones is sound.
type rule7 struct{}

func (rule7) ID() fault.ID { return 7 }

func (rule7) Check(f *Facts) fault.Finding {
	q := &inquiry{}
	s, done := q.scanning(f)
	if done != nil {
		if done.State == fault.Unknown && q.withoutLibrary(f) {
			return q.finding(fault.Text{})
		}
		return *done
	}
	from := scanSource(f)
	switch {
	case s.State == control.ScanFailed, s.State == control.ScanWaiting && s.Cause != "":
		q.failed(f, s)
		return q.finding(fault.Text{})
	case s.State == control.ScanReady:
		q.saw(wordScanService, wordReady, from, wordReady)
		q.engine(f, s)
		return q.finding(fault.Text{EN: "the scan service is running", JA: "スキャンサービスは動作しています"})
	case s.State == control.ScanWaiting:
		// It came up before: that it ends is fault 6.
		q.saw(wordScanService, fault.Text{EN: "it ended, and is started again after a pause", JA: "終了。間隔を空けて再起動"}, from, wordReady)
		return q.finding(fault.Text{EN: "the scan service came up, and is started again after it ended", JA: "スキャンサービスは起動に成功しており、終了後の再起動を待っています"})
	}
	why := errNotTold // a state of a newer daemon, or of one that has no scan service
	if s.State == control.ScanStarting {
		why = errStarting
	}
	q.missing(wordScanService, from, wordReady, why)
	return q.finding(fault.Text{})
}

var (
	wordReady       = fault.Text{EN: "ready", JA: "準備完了"}
	wordEngine      = fault.Text{EN: "engine", JA: "エンジン"}
	wordDefinitions = fault.Text{EN: "definitions", JA: "定義"}
	wordLibrary     = fault.Text{EN: "engine library", JA: "エンジンのライブラリ"}
	wordMemory      = fault.Text{EN: "available memory", JA: "空きメモリー"}

	errStarting = errors.New("it is starting")
)

// engine shows what is in use, as far as the service came to say so.
func (q *inquiry) engine(f *Facts, s control.Scan) {
	if s.Engine != "" {
		q.saw(wordEngine, fault.Verbatim("ClamAV "+terminal.Line(s.Engine)), scanSource(f), onlyContext)
	}
	if s.BuiltIn || s.Definitions != "" {
		q.saw(wordDefinitions, definitionsOf(s), scanSource(f), onlyContext)
	}
}

func definitionsOf(s control.Scan) fault.Text {
	if s.BuiltIn {
		return fault.Text{EN: "built-in only", JA: "組み込みのみ"}
	}
	return fault.Text{EN: "%s, %d signatures", JA: "%s、シグネチャ %d 件"}.With(terminal.Line(s.Definitions), s.Signatures)
}

// withoutLibrary judges a host whose daemon cannot be asked: without the library the service cannot start, whoever asks. That
// it is there proves nothing.
func (q *inquiry) withoutLibrary(f *Facts) bool {
	libraries := f.Host.Engine.Libraries
	if f.Connector.Vendor || f.Scanning.Known() || !libraries.Known() || len(libraries.Value) > 0 {
		return false
	}
	q.unread = nil
	q.library(f)
	q.deviates(control.ScanLibraryMissing, startCauses[control.ScanLibraryMissing])
	return true
}

// startCauses are the daemon's causes, as reasons.
var startCauses = map[string]fault.Text{
	control.ScanLibraryMissing:  {EN: "the engine library is missing, so that the scan service cannot start", JA: "エンジンのライブラリがないため、スキャンサービスを開始できません"},
	control.ScanLibraryUnusable: {EN: "the engine library cannot be used, so that the scan service cannot start", JA: "エンジンのライブラリを使用できないため、スキャンサービスを開始できません"},
	control.ScanDefinitions:     {EN: "the definitions do not load, so that the scan service cannot start", JA: "定義を読み込めないため、スキャンサービスを開始できません"},
	control.ScanMemory:          {EN: "there is not enough memory to load the definitions, so that the scan service cannot start", JA: "定義を読み込むためのメモリーが不足しており、スキャンサービスを開始できません"},
	control.ScanRights:          {EN: "the scan service lacks a right that its start needs", JA: "開始に必要な権限がないため、スキャンサービスを開始できません"},
	control.ScanSelfTest:        {EN: "the engine fails its self-test, so that the scan service does not start", JA: "エンジンが自己テストに失敗したため、スキャンサービスを開始できません"},
	control.ScanKilled:          {EN: "a signal ends the scan service while it starts", JA: "スキャンサービスが開始処理中にシグナルで終了します"},
	control.ScanProgram:         {EN: "the program of the scan service cannot be executed", JA: "スキャンサービスのプログラムを実行できません"},
	control.ScanHung:            {EN: "the scan service does not get ready in time", JA: "スキャンサービスの準備が制限時間内に完了しません"},
}

// failed shows what the service said of its start, and what of the host bears on the cause.
func (q *inquiry) failed(f *Facts, s control.Scan) {
	from := scanSource(f)
	stage, ok := stages[s.Stage]
	if !ok {
		stage = fault.Text{EN: "a stage that is not known", JA: "不明な段階"}
	}
	q.saw(wordScanService, fault.Text{EN: "its start ended at this stage: %s", JA: "開始処理が終了した段階: %s"}.With(stage), from, wordReady)
	if s.Error != "" {
		q.saw(fault.Text{EN: "error of the start", JA: "開始時のエラー"}, fault.Verbatim(terminal.Line(s.Error)), from, wordNone)
	}
	cause, words := s.Cause, startCauses[s.Cause]
	if words.EN == "" {
		cause, words = CauseStart, fault.Text{EN: "the scan service cannot start", JA: "スキャンサービスを開始できません"}
	}
	if show := causeEvidence[cause]; show != nil {
		show(q, f, s)
	}
	if s.File != "" {
		words = fault.Text{EN: words.EN + ": " + terminal.Line(s.File), JA: words.JA + ": " + terminal.Line(s.File)}
	}
	q.deviates(cause, words)
}

var stages = map[string]fault.Text{
	"sandbox":     {EN: "giving up its rights", JA: "権限の放棄"},
	"library":     {EN: "opening the engine library", JA: "エンジンのライブラリのロード"},
	"definitions": {EN: "loading the definitions", JA: "定義の読み込み"},
	"self-test":   {EN: "self-test", JA: "自己テスト"},
}

// causeEvidence is what is shown of each cause beside the service's own words.
var causeEvidence = map[string]func(*inquiry, *Facts, control.Scan){
	control.ScanLibraryMissing: func(q *inquiry, f *Facts, _ control.Scan) { q.library(f) },
	control.ScanLibraryUnusable: func(q *inquiry, f *Facts, s control.Scan) {
		if s.Engine != "" {
			q.saw(fault.Text{EN: "version of the engine", JA: "エンジンのバージョン"}, fault.Verbatim(terminal.Line(s.Engine)), scanSource(f), wordEngineVersion)
		}
		q.library(f)
	},
	control.ScanDefinitions: showDefinitions,
	control.ScanMemory:      showMemory,
	control.ScanRights:      showRights,
	control.ScanSelfTest: func(q *inquiry, f *Facts, s control.Scan) {
		q.engine(f, s)
	},
	control.ScanKilled: func(q *inquiry, f *Facts, s control.Scan) {
		if len(s.Ends) > 0 {
			q.saw(fault.Text{EN: "newest end", JA: "直近の終了"}, howEnded(s.Ends[len(s.Ends)-1]), scanSource(f), wordNone)
		}
		showMemory(q, f, s)
	},
	control.ScanHung: showMemory,
}

var wordEngineVersion = fault.Text{EN: "ClamAV 0.101 or newer, with all functions that the service uses", JA: "ClamAV 0.101 以降で、必要な関数をすべて備えること"}

// library shows which libraries are there, and which package has one.
func (q *inquiry) library(f *Facts) {
	expected := fault.Text{EN: "one of %s", JA: "次のいずれか: %s"}.With(strings.Join(host.EngineSonames, ", "))
	libraries := f.Host.Engine.Libraries
	switch {
	case !libraries.Known():
		q.saw(wordLibrary, wordUnread.With(libraries.Err), libraries.From, expected)
	case len(libraries.Value) == 0:
		q.saw(wordLibrary, wordAbsent, libraries.From, expected)
	default:
		q.saw(wordLibrary, fault.Verbatim(strings.Join(libraries.Value, ", ")), libraries.From, expected)
	}
	what := fault.Text{EN: "package of the engine library", JA: "エンジンのライブラリのパッケージ"}
	d := f.Host.Distribution
	source, ok := host.EngineSource(d.Value)
	switch {
	case !d.Known():
		q.saw(what, wordUnread.With(d.Err), d.From, onlyContext)
	case !ok:
		q.saw(what, fault.Text{EN: "not known for %s", JA: "%s でのパッケージ名は不明"}.With(d.Value.Name), d.From, onlyContext)
	case source.Repository == "":
		q.saw(what, fault.Verbatim(source.Name), d.From, onlyContext)
	default:
		q.saw(what, fault.Text{EN: "%s, from the repository %s, which is %s", JA: "%s (リポジトリ %s: %s)"}.
			With(source.Name, strings.ToUpper(source.Repository), repositoryState(f.Host.Engine.Repository)), d.From, onlyContext)
	}
}

func repositoryState(r host.Reading[bool]) fault.Text {
	switch {
	case !r.Known():
		return wordUnread.With(r.Err)
	case r.Value:
		return fault.Text{EN: "set up", JA: "設定済み"}
	}
	return fault.Text{EN: "not set up", JA: "未設定"}
}

func showDefinitions(q *inquiry, f *Facts, s control.Scan) {
	if s.File != "" {
		q.saw(fault.Text{EN: "definition file", JA: "定義ファイル"}, fault.Verbatim(terminal.Line(s.File)), scanSource(f),
			fault.Text{EN: "passes its checks, and loads", JA: "検査に合格し、読み込めること"})
	}
}

// officialMiB is what the engine takes with ClamAV's official definitions of 2025, in MiB: main.cvd, daily.cvd and bytecode.cvd.
const officialMiB = 1200

func showMemory(q *inquiry, f *Facts, s control.Scan) {
	m := f.Host.Memory
	expected := fault.Text{EN: "what the definitions need: ClamAV's official ones take about %d MiB", JA: "定義の読み込みに必要な量 (ClamAV の公式定義では約 %d MiB)"}.With(officialMiB)
	if m.Known() {
		q.saw(wordMemory, fault.Text{EN: "%d MiB of %d MiB", JA: "%d MiB (全体 %d MiB)"}.With(m.Value.Available>>20, m.Value.Total>>20), m.From, expected)
	} else {
		q.saw(wordMemory, wordUnread.With(m.Err), m.From, expected)
	}
	if s.MemoryLimit > 0 {
		q.saw(fault.Text{EN: "memory limit of the scan service", JA: "スキャンサービスのメモリー上限"}, fault.Verbatim(fmt.Sprintf("%d MiB", s.MemoryLimit>>20)), scanSource(f), expected)
	}
	if g := s.Cgroup; g != nil && g.MemoryLimit > 0 {
		q.saw(fault.Text{EN: "memory limit of the scan service's control group", JA: "スキャンサービスの制御グループのメモリー上限"}, fault.Verbatim(fmt.Sprintf("%d MiB", g.MemoryLimit>>20)), scanSource(f), onlyContext)
	}
}

func showRights(q *inquiry, f *Facts, s control.Scan) {
	if s.UserError != "" {
		q.saw(wordProcessUser, fault.Verbatim(terminal.Line(s.UserError)), scanSource(f), fault.Verbatim(f.Connector.ScanAccount))
	}
	if mode := f.SELinux.Mode; mode.Known() {
		q.saw(fault.Text{EN: "mode of SELinux", JA: "SELinux のモード"}, fault.Verbatim(string(mode.Value)), mode.From, onlyContext)
	}
}
