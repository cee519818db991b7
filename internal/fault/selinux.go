package fault

var fault19 = Fault{
	ID: 19, Severity: Critical, ToRaise: policySettles, Judged: true,
	Name: Text{
		EN: "SELinux policy missing or disabled",
		JA: "SELinux ポリシーがないか無効になっています",
	},
	Meaning: Text{
		EN: "SELinux is enforcing and its policy does not let the connector's domain use bpf(2): the rule \"allow unconfined_service_t self:bpf { map_create map_read map_write prog_load prog_run }\" does not hold. " +
			"No eBPF program can be loaded, so the kernel cannot monitor system activity for the connector.",
		JA: "SELinux が Enforcing モードで動作しており、ポリシーがコネクタのドメインに bpf(2) の使用を許可していません。規則「allow unconfined_service_t self:bpf { map_create map_read map_write prog_load prog_run }」が成立していない状態です。" +
			"eBPF プログラムをロードできないため、カーネルによるシステム活動の監視ができません。",
	},
	Detection: Text{
		EN: "The kernel is asked through /sys/fs/selinux/access for the very domain that the service runs in; a permissive domain or host is no fault. The policy store tells whether the module cisco-secure-bpf is absent, disabled, " +
			"hidden by another of higher priority, or present and yet not in the loaded policy.",
		JA: "サービスが実際に動作するドメインについて、/sys/fs/selinux/access を通じてカーネルに問い合わせます。ドメインまたはホストが Permissive の場合はフォールトではありません。ポリシーストアからは、モジュール cisco-secure-bpf が存在しない、無効化されている、" +
			"より優先度の高い同名のモジュールに隠されている、または存在するがロード済みのポリシーに含まれていないことを判別します。",
	},
	Remedy: Text{
		EN: "Makes sure that the policy tools are there, then installs, enables or reloads the policy module cisco-secure-bpf, asks the connector to look again and proves the rule with the kernel. Nothing is rebuilt where the rule already holds. --print-policy shows the module's source for administrators who keep the policy by hand.",
		JA: "ポリシーツールが利用できることを確認したうえで、ポリシーモジュール cisco-secure-bpf の導入、有効化、または再ロードを行い、コネクタへ再確認を要求して、規則の成立をカーネルに問い合わせて確認します。規則がすでに成立している場合、ポリシーの再構築は行いません。ポリシーを手作業で管理している場合は、--print-policy でモジュールのソースを表示できます。",
	},
}
