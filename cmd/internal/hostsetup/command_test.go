package hostsetup

import (
	"bytes"
	"strings"
	"testing"
)

// TestUsageIsInTheLanguageAskedFor has what can be refused without root and without a host.
func TestUsageIsInTheLanguageAskedFor(t *testing.T) {
	for _, c := range []struct {
		locale string
		args   []string
		says   string
	}{
		{"C", nil, "which command?"},
		{"ja_JP.UTF-8", nil, "コマンドを指定してください"},
		{"C", []string{"--lang", "ja"}, "コマンドを指定してください"},
		{"ja_JP.UTF-8", []string{"--lang", "en"}, "which command?"},
		{"ja_JP.UTF-8", []string{"--lang", "fr"}, `--lang "fr": en または ja`},
		{"ja_JP.UTF-8", []string{"doctor", "odd"}, `エラーが発生しました: unknown command "odd"`},
		{"C", []string{"postinst"}, "postinst: which package format, deb or rpm?"},
		{"ja_JP.UTF-8", []string{"postinst"}, "postinst: パッケージ形式 (deb または rpm) を指定してください"},
	} {
		t.Setenv("LC_ALL", c.locale)
		var out, errs bytes.Buffer
		if code := run(t.Context(), c.args, strings.NewReader(""), &out, &errs); code != exitUsage || !strings.Contains(errs.String(), c.says) {
			t.Errorf("%s %q: exit %d, %q; want exit %d, %q", c.locale, c.args, code, errs.String(), exitUsage, c.says)
		}
	}
}

// TestDoctorInJapanese runs on this machine as it is, and changes nothing.
func TestDoctorInJapanese(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"doctor", "--lang", "ja"}, strings.NewReader(""), &out, &errs); code != exitDone && code != exitFailed {
		t.Fatalf("exit %d: %s", code, errs.String())
	}
	if !strings.HasPrefix(out.String(), "このホスト (") || strings.Contains(out.String(), "would") {
		t.Errorf("%s", out.String())
	}
}
