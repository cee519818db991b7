package installer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"time"

	"github.com/ampconnector/amp/internal/fault"
)

// ErrorText gives an error in the languages of the product. What the system says stays English; in Japanese a few words before it
// say what kind of trouble it is.
func ErrorText(err error) fault.Text {
	if err == nil {
		return fault.Text{}
	}
	if _, worded := err.(interface{ In(fault.Language) string }); worded {
		return fault.ErrorText(err)
	}
	if parts := joined(err); anyWorded(parts) {
		var texts []fault.Text
		for _, part := range parts {
			texts = append(texts, ErrorText(part))
		}
		return fault.Join(texts, fault.Verbatim("\n"))
	}
	return fault.Text{EN: err.Error(), JA: kind(err) + ": " + err.Error()}
}

// joined are the errors of which errors.Join made one, nil if it did not.
func joined(err error) []error {
	several, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	var lines []string
	for _, e := range several.Unwrap() {
		lines = append(lines, e.Error())
	}
	if strings.Join(lines, "\n") != err.Error() { // fmt.Errorf with two errors
		return nil
	}
	return several.Unwrap()
}

func anyWorded(errs []error) bool {
	for _, err := range errs {
		if _, ok := err.(interface{ In(fault.Language) string }); ok || anyWorded(joined(err)) {
			return true
		}
	}
	return false
}

// errorKinds are the kinds of trouble, the most telling first.
var errorKinds = []struct {
	is error
	ja string
}{
	{ErrLocked, "別のプログラムがこのホストを変更中です"},
	{ErrJournal, "中断された実行のジャーナルを処理できません"},
	{ErrAccountLocked, "アカウントファイルがロックされています"},
	{ErrImmutable, "ファイルが変更禁止 (chattr) に設定されています"},
	{ErrSymlink, "シンボリックリンクがあるため処理できません"},
	{ErrNoFreeID, "割り当て可能な ID がありません"},
	{syscall.ENOSPC, "ディスクの空き容量がありません"},
	{syscall.EDQUOT, "ディスククォータの上限に達しています"},
	{syscall.EROFS, "ファイルシステムが読み取り専用です"},
	{fs.ErrPermission, "権限がありません"},
	{fs.ErrNotExist, "ファイルまたはディレクトリがありません"},
	{context.DeadlineExceeded, "制限時間内に完了しませんでした"},
	{context.Canceled, "中断されました"},
}

// kind names the trouble in Japanese.
func kind(err error) string {
	for _, k := range errorKinds {
		if errors.Is(err, k.is) {
			return k.ja
		}
	}
	return "エラーが発生しました"
}

// In gives the error in a language.
func (e *StepError) In(l fault.Language) string {
	if l != fault.Japanese {
		return e.Error()
	}
	return fmt.Sprintf("手順「%s」に失敗しました。%s", e.Title.JA, ErrorText(e.Err).JA)
}

// In gives the error in a language.
func (e *LockedError) In(l fault.Language) string {
	if l != fault.Japanese {
		return e.Error()
	}
	who := "使用中のプログラムは不明です"
	if e.Holder.PID != 0 {
		who = fmt.Sprintf("%s (プロセス %d) が %s から使用中です", e.Holder.Program, e.Holder.PID, e.Holder.Since.Format(time.RFC3339))
	}
	if e.Gone {
		who += "。このプロセスは終了していますが、起動したツールがまだ動作しています"
	}
	if e.Waited > 0 {
		who += fmt.Sprintf("。%s 待機しました", e.Waited)
	}
	return fmt.Sprintf("別のプログラムがこのホストを変更中です: %s: %s", e.Path, who)
}
