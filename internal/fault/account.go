package fault

var fault5 = Fault{
	ID: 5, Severity: Minor, ToRaise: accountSettles, Judged: true,
	Name: Text{
		EN: "Scan service user unavailable",
		JA: "スキャンサービスのユーザーが利用できません",
	},
	Meaning: Text{
		EN: "The scan process is meant to run as user and group cisco-amp-scan-svc, and that identity cannot be used: it is missing, or it was changed in a way " +
			"that makes it unsafe, or a directory of the connector locks it out or lets others write. Scans go on meanwhile, but as root, with more rights than they need.",
		JA: "スキャンプロセスはユーザーおよびグループ cisco-amp-scan-svc の権限で動作する設計ですが、このアカウントを使用できません。アカウントが存在しない、安全でない内容に変更されている、" +
			"またはコネクタのディレクトリの権限によってこのユーザーが締め出されているか、第三者が書き込める状態です。その間もスキャンは継続しますが、必要以上の権限を持つ root として実行されます。",
	},
	Detection: Text{
		EN: "The account is read from /etc/passwd, /etc/group and /etc/shadow, or from the name service where it lives there, and checked for uid 0, a shared uid, a login shell, an unlocked password, " +
			"an expiry date, a wrong primary group, extra groups and a home directory that others own. The connector's directories are compared with the modes and owners that were packaged. The running scan process is looked at too: its user, groups and capabilities have to be the account's. " +
			"An account of a directory service has to keep out of the range of people's uids too; while a service that may know the account does not answer, nothing is called missing. " +
			"Of a directory that was changed, the connector's event log and the kernel's audit log are read for who did it.",
		JA: "/etc/passwd、/etc/group、/etc/shadow(ディレクトリサービス上のアカウントの場合はネームサービス)からアカウントを読み取り、UID 0、UID の重複、ログインシェル、ロックされていないパスワード、" +
			"有効期限、プライマリグループの誤り、余分な所属グループ、他者が所有するホームディレクトリがないかを確認します。コネクタのディレクトリは、パッケージで定められたモードおよび所有者と比較します。動作中のスキャンプロセスのユーザー、グループ、ケーパビリティがこのアカウントのものであることも確認します。" +
			"ディレクトリサービス上のアカウントについては、UID が一般アカウントの範囲外であることも確認します。アカウントを保持している可能性のあるサービスが応答しない間は、存在しないと判定することはありません。" +
			"ディレクトリが変更されている場合は、変更したプログラムをコネクタのイベントログとカーネルの監査ログから調べます。",
	},
	Remedy: Text{
		EN: "Creates what is missing (the group first, then the user in it) and repairs what was changed. The account is never deleted, and the uid of an account that owns files is never changed without " +
			"moving the ownership of its files. An account of a directory service is used as it is, and never hidden by a local one: what is wrong with it is listed for a person. Modes and owners of the connector's directories go back to what was packaged; then the connector is asked to look again.",
		JA: "不足しているものを作成し(先にグループ、次にそのグループに属するユーザー)、変更された箇所を修復します。アカウントを削除することはなく、ファイルを所有するアカウントの UID をファイルの所有権を移さずに変更することもありません。" +
			"ディレクトリサービス上のアカウントはそのまま使用し、同名のローカルアカウントは作成しません。問題がある場合は、管理者が行う変更として示します。" +
			"コネクタのディレクトリのモードと所有者をパッケージの定義どおりに戻し、最後にコネクタへ再確認を要求します。",
	},
}
