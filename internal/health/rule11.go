package health

import (
	"strings"

	"github.com/ampconnector/amp/bpf/layout"
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
)

// Causes of fault 11.
const (
	CauseNoHeaders    = "no-headers"
	CauseOtherHeaders = "other-headers" // of another release
	CauseHalfHeaders  = "half-headers"  // the tree lacks parts
)

// rule11 reports fault 11: the kernel offers no BTF, no file has it, and the header tree of exactly this kernel is not there. A host that monitors by
// modules, which may have come prebuilt, needs none of these.
type rule11 struct{}

func (rule11) ID() fault.ID { return 11 }

func (rule11) Check(f *Facts) fault.Finding {
	q := &inquiry{}
	if !f.Found {
		return q.absent(f)
	}
	if !q.switchOn(f, wordMonitoring, monitorAny) {
		return q.notApplicable(bothOff)
	}
	if q.readsModules(f) {
		return q.finding(modulesRead)
	}
	btf, ok := q.btf(f)
	if ok && btf {
		return q.finding(fault.Text{EN: "the kernel offers BTF", JA: "カーネルは BTF を提供しています"})
	}
	if q.external(f) {
		q.unread = nil // likewise
		return q.finding(fault.Text{EN: "a file has the BTF of this kernel: " + f.BPF.Layouts.Value.From, JA: "このカーネルの BTF がファイルにあります: " + f.BPF.Layouts.Value.From})
	}
	if q.headers(f) {
		q.unread = nil // right headers answer the question whatever BTF there is
		return q.finding(fault.Text{EN: "the headers of this kernel are installed and complete", JA: "稼働中のカーネルのヘッダーが完全に導入されています"})
	}
	if !ok || !f.BPF.Layouts.Known() {
		q.wrong, q.causes = nil, nil // with BTF, its own or in a file, no headers are needed
	}
	return q.finding(fault.Text{})
}

var (
	wordFile       = fault.Text{EN: "file with BTF of the kernel", JA: "カーネルの BTF を含むファイル"}
	wordMonitoring = fault.Text{EN: "monitoring", JA: "監視"}
	wordBTF        = fault.Text{EN: "BTF of the kernel", JA: "カーネルの BTF"}
	wordHeaders    = fault.Text{EN: "headers of the kernel", JA: "カーネルのヘッダー"}
)

// btf says whether the kernel has BTF: a running one by its file, that of an image by its build configuration.
func (q *inquiry) btf(f *Facts) (has, ok bool) {
	r := f.BPF.KernelBTF
	if !f.Runs() {
		if r = f.Host.Kernel.Value.BTF; f.Host.Kernel.Err != nil {
			r = host.NotKnown[bool](f.Host.Kernel.From, f.Host.Kernel.Err)
		}
	}
	has, ok = known(q, wordBTF, r, wordPresent)
	if ok {
		word := wordAbsent
		if has {
			word = wordPresent
		}
		q.saw(wordBTF, word, r.From, wordPresent)
	}
	return has, ok
}

// external says whether a file has the kernel's BTF, and which ones were passed over. That nothing is known for want of the headers is told with those.
func (q *inquiry) external(f *Facts) bool {
	l := f.BPF.Layouts
	expected := fault.Text{EN: "of this kernel", JA: "このカーネルのもの"}
	if !l.Known() {
		if f.Host.Kernel.Known() && f.Host.Kernel.Value.Headers.Known() {
			q.missing(wordFile, l.From, onlyContext, l.Err)
		}
		return false
	}
	for _, passed := range l.Value.Passed {
		q.saw(wordFile, WhyNoLayouts(passed), passed.From, expected)
	}
	if l.Value.Origin != layout.External {
		return false
	}
	q.saw(wordFile, wordPresent, l.Value.From, expected)
	return true
}

// headers says whether the right header tree is there, and otherwise what is wrong with it.
func (q *inquiry) headers(f *Facts) bool {
	kernel, ok := known(q, fault.Text{EN: "release of the kernel", JA: "カーネルのリリース"}, f.Host.Kernel, onlyContext)
	if !ok {
		return false
	}
	expected := fault.Text{EN: "of %s, complete", JA: "%s のもので、完全であること"}.With(kernel.Release)
	h, ok := known(q, wordHeaders, kernel.Headers, expected)
	switch {
	case !ok:
		return false
	case h == nil:
		q.saw(wordHeaders, wordAbsent, kernel.Headers.From, expected)
		q.deviates(CauseNoHeaders, fault.Text{
			EN: "the kernel " + kernel.Release + " offers no BTF, and its header package is not installed",
			JA: "カーネル " + kernel.Release + " は BTF を提供しておらず、対応するヘッダーパッケージも導入されていません",
		})
		return false
	case h.Right(kernel.Release):
		q.saw(wordHeaders, fault.Text{EN: "of %s, complete", JA: "%s のもの、完全"}.With(h.Release), h.Link, expected)
		return !q.brokenHeaders(f, kernel.Release)
	}
	q.wrongHeaders(h, kernel.Release, expected)
	return false
}

// brokenHeaders reports whether the daemon found that a tree lacks files which looks whole. What else it met is told beside: that is fault 16.
func (q *inquiry) brokenHeaders(f *Facts, release string) bool {
	if has := f.BPF.KernelBTF; !f.Runs() || !has.Known() || has.Value {
		return false
	}
	trouble := layoutTrouble(f)
	if trouble == nil {
		return false
	}
	why := WhyNoLayouts(trouble)
	q.saw(wordLayouts, why, trouble.From, onlyContext)
	if trouble.Why != layout.TreeIncomplete {
		return false
	}
	q.deviates(CauseHalfHeaders, fault.Text{
		EN: "the kernel " + release + " offers no BTF, and its header package is not complete: " + why.EN,
		JA: "カーネル " + release + " は BTF を提供しておらず、ヘッダーパッケージも不完全です: " + why.JA,
	})
	return true
}

func (q *inquiry) wrongHeaders(h *host.Headers, release string, expected fault.Text) {
	if h.Release != "" && h.Release != release {
		q.saw(wordHeaders, fault.Text{EN: "of %s", JA: "%s のもの"}.With(h.Release), h.Link, expected)
		q.deviates(CauseOtherHeaders, fault.Text{
			EN: "the kernel " + release + " offers no BTF, and the headers that it is linked to are of " + h.Release,
			JA: "カーネル " + release + " は BTF を提供しておらず、リンクされているヘッダーは " + h.Release + " のものです",
		})
		return
	}
	missing := strings.Join(h.Missing, ", ")
	if h.Release == "" && missing == "" {
		missing = "include/generated/utsrelease.h"
	}
	q.saw(wordHeaders, fault.Text{EN: "missing: %s", JA: "不足: %s"}.With(missing), h.Link, expected)
	q.deviates(CauseHalfHeaders, fault.Text{
		EN: "the kernel " + release + " offers no BTF, and its header package is not complete: " + missing,
		JA: "カーネル " + release + " は BTF を提供しておらず、ヘッダーパッケージも不完全です: " + missing,
	})
}
