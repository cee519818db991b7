package health

import (
	"strings"

	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/host"
)

var wordPromise = fault.Text{EN: "what this version promises of the kernel", JA: "このバージョンでのカーネルの対応状況"}

// promise shows what the table of kernels says of the one that is judged, beside what it answers. It is context: the answer decides.
func (q *inquiry) promise(f *Facts) {
	d, k := f.Host.Distribution, f.Host.Kernel
	if !d.Known() || !k.Known() {
		return
	}
	words := notInTable
	if p, ok := host.PromiseOf(d.Value, k.Value.Release); ok {
		words = PromiseText(p)
	}
	q.saw(wordPromise, words, "table of kernels (docs/kernels.md)", onlyContext)
}

var notInTable = fault.Text{
	EN: "nothing: it is not one that this version was tested with",
	JA: "なし: このバージョンで試験されたカーネルではありません",
}

// PromiseText is a row of the table of kernels in words.
func PromiseText(p host.KernelPromise) fault.Text {
	kernels := fault.Verbatim(p.Name + ", " + strings.Join(p.Series, ", "))
	if len(p.Guests) > 0 {
		return fault.Text{EN: "%s: %s; tested in guests", JA: "%s: %s。ゲストで試験済み"}.With(kernels, expected[p.Expected])
	}
	return fault.Text{EN: "%s: %s; by its version, not tested", JA: "%s: %s。バージョンからの判断で、試験はしていません"}.With(kernels, expected[p.Expected])
}

var expected = map[host.Expectation]fault.Text{
	host.FullSource:  {EN: "eBPF programs load, by the kernel's own BTF", JA: "カーネル自身の BTF により eBPF プログラムをロードできます"},
	host.NoPrograms:  {EN: "too old for the connector's eBPF programs, which need a ring buffer (Linux 5.8)", JA: "コネクタの eBPF プログラムに必要なリングバッファー (Linux 5.8) がなく、古すぎます"},
	host.NotPromised: {EN: "nothing is promised, its answer alone counts", JA: "対応は保証されず、カーネルの応答のみで判断します"},
}
