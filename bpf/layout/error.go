package layout

import (
	"fmt"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
)

// Why says in one word why there are no layouts.
type Why string

// The reasons.
const (
	NoHeaders      Why = "no-headers"
	TreeIncomplete Why = "tree-incomplete"
	OtherRelease   Why = "other-release" // the tree or the file is that of another kernel
	NoMake         Why = "no-make"
	NoCompiler     Why = "no-compiler"
	OtherCompiler  Why = "other-compiler" // there is one, which does not take the options of this tree
	Shuffled       Why = "shuffled"       // CONFIG_RANDSTRUCT: the headers do not tell the order
	BuildFailed    Why = "build-failed"
	NoDebugInfo    Why = "no-debug-info" // the build succeeded, and its object has none
	Malformed      Why = "malformed"     // a file or an object that cannot be read
	Contradicted   Why = "contradicted"  // by what the running kernel says of itself
	OthersWrite    Why = "others-write"  // a file of a folder for them, which others than root may change
	DiskFull       Why = "disk-full"
	TimedOut       Why = "timed-out"
	NotHere        Why = "not-here" // only the running host can compile
)

// Error is why there are no layouts, or none of a file.
type Error struct {
	Why  Why
	From string // file, tree or tool
	// Detail is what was read, or the first error line of the build.
	Detail string
	Wanted string // the compiler that the tree was made with, as the package or program is called; "" where that is not the matter
	Log    string // file with all that the build said, "" if none was kept
	Err    error  // the cause, nil if there is none beside
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s: %s", e.From, e.Why)
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Log != "" {
		s += " (log: " + e.Log + ")"
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

var texts = map[Why]fault.Text{
	NoHeaders:      {EN: "the header package of this kernel is not installed", JA: "稼働中のカーネルのヘッダーパッケージが導入されていません"},
	TreeIncomplete: {EN: "the kernel's header tree is not complete", JA: "カーネルのヘッダーツリーが不完全です"},
	OtherRelease:   {EN: "it belongs to another kernel", JA: "別のカーネルのものです"},
	NoMake:         {EN: "make is not installed", JA: "make が導入されていません"},
	NoCompiler:     {EN: "the compiler that the kernel's headers ask for is not installed", JA: "カーネルのヘッダーが求めるコンパイラーが導入されていません"},
	OtherCompiler:  {EN: "the compiler here does not take the options of this kernel's headers", JA: "導入済みのコンパイラーはこのカーネルのヘッダーのオプションに対応していません"},
	Shuffled:       {EN: "this kernel shuffles its structures, and its headers do not tell the order", JA: "このカーネルは構造体の並びを無作為化しており、ヘッダーからは並びが分かりません"},
	BuildFailed:    {EN: "compiling against the kernel's headers failed", JA: "カーネルのヘッダーを使ったコンパイルに失敗しました"},
	NoDebugInfo:    {EN: "compiling against the kernel's headers made no debug information", JA: "カーネルのヘッダーを使ったコンパイルでデバッグ情報が生成されませんでした"},
	Malformed:      {EN: "it cannot be read", JA: "読み取れません"},
	Contradicted:   {EN: "the running kernel says otherwise of its structures", JA: "稼働中のカーネルの構造体と一致しません"},
	OthersWrite:    {EN: "others than root may change it", JA: "root 以外のユーザーが変更できます"},
	DiskFull:       {EN: "there is no room left to compile or to keep the layouts", JA: "コンパイルや保存に必要な空き容量がありません"},
	TimedOut:       {EN: "compiling against the kernel's headers took too long", JA: "カーネルのヘッダーを使ったコンパイルが時間内に終わりませんでした"},
	NotHere:        {EN: "layouts can only be derived on the host that runs", JA: "構造体の配置は稼働中のホストでのみ導出できます"},
}

// Text is the reason for people, without the detail.
func (e *Error) Text() fault.Text { return texts[e.Why] }

// MissingHeaders says what is wrong with the headers of a release, nil if nothing is.
func MissingHeaders(release string, h *host.Headers) *Error {
	switch {
	case h == nil:
		return &Error{Why: NoHeaders, From: "/lib/modules/" + release + "/build"}
	case len(h.Missing) > 0:
		return &Error{Why: TreeIncomplete, From: h.Link, Detail: "missing: " + h.Missing[0]}
	case h.Release != release:
		return &Error{Why: OtherRelease, From: h.Link, Detail: "of " + h.Release + ", expected " + release}
	}
	return nil
}
