package health

import (
	"fmt"
	"strings"

	"github.com/ampconnector/amp/internal/control"
	"github.com/ampconnector/amp/internal/fault"
)

// ScanProcessCauses are the causes of fault 5 that are about the running process. They go away when it starts anew.
var ScanProcessCauses = []string{CauseAsRoot, CauseOtherUser, CauseProcessGroup, CauseCapable}

// scanProcess compares what the running scan process really is with the account. Where none runs, or nobody can say, the account alone
// is judged: a fault of the account would otherwise hide behind a daemon that does not run.
func (q *inquiry) scanProcess(f *Facts) {
	s := f.Scanning.Value
	seen := s.PID != 0 && s.User != "" // one that has just started was not looked at yet
	if f.Connector.Vendor || !f.Scanning.Known() || !seen && !s.AsRoot {
		return
	}
	name, from := f.Connector.ScanAccount, f.Scanning.From
	if s.AsRoot || s.UID == 0 {
		q.asRoot(name, from, s)
		return // that root has other groups and all capabilities is the same deviation
	}
	q.processUser(f, s)
	what := fault.Text{EN: "further groups of the scan process", JA: "スキャンプロセスの追加グループ"}
	if len(s.Groups) > 0 {
		var gids []string
		for _, gid := range s.Groups {
			gids = append(gids, decimal(gid))
		}
		q.saw(what, fault.Verbatim("gid "+strings.Join(gids, ", ")), from, wordNone)
		q.deviates(CauseProcessGroup, fault.Text{EN: "the scan process has further groups", JA: "スキャンプロセスが余分なグループに属しています"})
	} else {
		q.saw(what, wordNone, from, wordNone)
	}
	what = fault.Text{EN: "capabilities of the scan process", JA: "スキャンプロセスのケーパビリティ"}
	if s.Capable {
		q.saw(what, wordPresent, from, wordNone)
		q.deviates(CauseCapable, fault.Text{EN: "the scan process has capabilities", JA: "スキャンプロセスがケーパビリティを保持しています"})
	} else {
		q.saw(what, wordNone, from, wordNone)
	}
}

var wordProcessUser = fault.Text{EN: "user of the scan process", JA: "スキャンプロセスのユーザー"}

func (q *inquiry) asRoot(name, from string, s control.Scan) {
	read := fault.Verbatim("root")
	words := fault.Text{EN: "files are scanned as root", JA: "スキャンが root 権限で実行されています"}
	if s.UserError != "" {
		read = fault.Text{EN: "root, since: %s", JA: "root (理由: %s)"}.With(s.UserError)
		words = fault.Text{EN: words.EN + ": " + s.UserError, JA: words.JA + ": " + s.UserError}
	}
	q.saw(wordProcessUser, read, from, fault.Verbatim(name))
	q.deviates(CauseAsRoot, words)
}

// processUser compares the process with the account as it is now. An account that is not known was recorded so already.
func (q *inquiry) processUser(f *Facts, s control.Scan) {
	user, group := f.Host.Account.User, f.Host.Account.Group
	expected := fault.Verbatim(f.Connector.ScanAccount)
	if user.Known() && user.Value != nil && group.Known() && group.Value != nil {
		expected = fault.Verbatim(fmt.Sprintf("uid %d gid %d (%s)", user.Value.UID, group.Value.GID, f.Connector.ScanAccount))
	}
	q.saw(wordProcessUser, fault.Verbatim(fmt.Sprintf("uid %d gid %d", s.UID, s.GID)), f.Scanning.From, expected)
	// An account with the ids of root is a deviation of its own, and no process should follow it there.
	otherUser := user.Known() && user.Value != nil && user.Value.UID != 0 && user.Value.UID != s.UID
	otherGroup := group.Known() && group.Value != nil && group.Value.GID != 0 && group.Value.GID != s.GID
	if otherUser || otherGroup {
		q.deviates(CauseOtherUser, fault.Text{
			EN: fmt.Sprintf("the scan process runs as uid %d gid %d, which is not %s", s.UID, s.GID, f.Connector.ScanAccount),
			JA: fmt.Sprintf("スキャンプロセスが %s ではなく UID %d GID %d で動作しています", f.Connector.ScanAccount, s.UID, s.GID),
		})
	}
}
