package hostsetup

import (
	"bytes"
	"os"
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
		{"ja_JP.UTF-8", []string{"doctor", "odd"}, `コマンドラインの指定に誤りがあります: unknown command "odd"`},
		{"C", []string{"odd"}, `usage: unknown command "odd" for "amp-install"; see amp-install --help`},
		{"C", []string{"kernel"}, "arguments given: 0; expected: amp-install kernel RELEASE"},
		{"ja_JP.UTF-8", []string{"kernel", ""}, "空の引数"},
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

// TestOutputThatIsCutShort: a list that could not be written is no list.
func TestOutputThatIsCutShort(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	for _, args := range [][]string{{"--help"}, {"--version"}, {"doctor"}} {
		var errs bytes.Buffer
		if code := run(t.Context(), args, strings.NewReader(""), full, &errs); code != exitFailed || !strings.Contains(errs.String(), "no space left on device") {
			t.Errorf("%v: exit %d, %q", args, code, &errs)
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
