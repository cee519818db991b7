package remediate

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/ampconnector/amp/installer"
	"github.com/ampconnector/amp/internal/fault"
)

// failingInBoth is a world in which a step of the installer's own kind fails and a person is left.
func failingInBoth() *world {
	w := withShell()
	w.items[0].Step.(*act).ja = "ログインシェルの無効化"
	w.items[0].Step.(*act).apply = func() error { return errDisk }
	w.items = append(w.items, installer.Item{Manual: fault.Text{EN: "Reboot the host.", JA: "ホストを再起動してください。"}, Commands: []string{"systemctl reboot"}})
	return w
}

// TestJSONIsEnglishUnlessAsked: programs rest on it, and the locale of whoever starts them must not matter.
func TestJSONIsEnglishUnlessAsked(t *testing.T) {
	report := func(words fault.Language) (FaultReport, string, string) {
		t.Helper()
		_, out, errs := failingInBoth().remedy(t, call{args: []string{"5"}, adapt: func(t *Tool) {
			t.JSON, t.Yes, t.Language, t.JSONWords = true, true, fault.Japanese, words
		}})
		if errs := loadSchema(t, "remediate.schema.json").validate([]byte(out)); errs != nil {
			t.Errorf("%q\n%s", errs, out)
		}
		var r Report
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatal(err)
		}
		return r.Faults[0], out, errs
	}
	_, out, errs := report("")
	if japanese(out) {
		t.Errorf("Japanese words that nobody asked for:\n%s", out)
	}
	if !strings.Contains(errs, "ログインシェルの無効化: 失敗") {
		t.Errorf("a person's language is Japanese, and stderr says:\n%s", errs)
	}
	five, _, _ := report(fault.Japanese)
	for where, text := range map[string]string{
		"name": five.Name, "result": five.Result, "what": five.Evidence[0].What, "expected": five.Evidence[0].Expected,
		"step": five.Plan[0].Step, "detail": five.Plan[0].Detail, "manual": five.Plan[1].Step,
	} {
		if !japanese(text) {
			t.Errorf("%s is not Japanese: %q", where, text)
		}
	}
	if commands := five.Plan[1].Commands; len(commands) != 1 || commands[0] != "systemctl reboot" {
		t.Errorf("commands of the manual item: %q", commands)
	}
}

func TestTextIsInTheLanguageAskedFor(t *testing.T) {
	_, out, errs := failingInBoth().remedy(t, call{args: []string{"5"}, adapt: func(t *Tool) { t.Yes, t.Language = true, fault.Japanese }})
	for _, part := range []string{
		"cisco-amp-scan-svc のログインシェル: /bin/bash  [/etc/passwd]",
		"期待値: /usr/sbin/nologin など、ログインを拒否するもの",
		"1. ログインシェルの無効化\n         パッケージ: shadow-utils\n         # usermod",
		"手動での操作:\n    ホストを再起動してください。\n         # systemctl reboot",
		"[1/2] ログインシェルの無効化: 失敗",
	} {
		if !strings.Contains(out, part) {
			t.Errorf("stdout has no %q:\n%s", part, out)
		}
	}
	if want := "amp-remediate: エラーが発生しました: usermod: /etc/passwd: no space left on device\n"; errs != want {
		t.Errorf("stderr %q, want %q", errs, want)
	}
}

func TestErrorTextInJapanese(t *testing.T) {
	title := fault.Text{EN: "create user x", JA: "ユーザー x の作成"}
	for want, err := range map[string]error{
		"手順「ユーザー x の作成」に失敗しました。アカウントファイルがロックされています: the account files are locked": &installer.StepError{Title: title, Err: installer.ErrAccountLocked},
		"--root /x: ディレクトリが存在しません":                   errNoRoot.wrong("/x"),
		"コネクタにフォールトの再評価を要求できません: connection refused": errEvaluate.wrong(errors.New("connection refused")),
		"手順「ユーザー x の作成」に失敗しました。エラーが発生しました: odd\n元に戻す処理にも失敗しました: worse": errors.Join(
			&installer.StepError{Title: title, Err: errors.New("odd")}, fault.Errorf(fault.Text{EN: "undo: %v", JA: "元に戻す処理にも失敗しました: %v"}, errors.New("worse"))),
	} {
		if got := installer.ErrorText(err).JA; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if err := errNoRoot.wrong("/x"); err.Error() != "--root /x: there is no such directory" {
		t.Errorf("in English: %v", err)
	}
	if err := errEvaluate.wrong(installer.ErrLocked); !errors.Is(err, installer.ErrLocked) {
		t.Errorf("%v does not wrap what it rests on", err)
	}
}
