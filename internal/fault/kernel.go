package fault

var fault8 = Fault{
	ID: 8, Severity: Critical, ToRaise: kernelSettles, Judged: true,
	CausedBy: []ID{19, 16, 11}, // programs that the policy refuses; no module for a kernel that none supports; none can be built without headers
	Name: Text{
		EN: "Realtime filesystem monitor failed to start",
		JA: "リアルタイムのファイルシステム監視を開始できません",
	},
	Meaning: Text{
		EN: "File monitoring is on, and its events do not come: this host monitors with the kernel module ampfsm, which cannot be built or loaded, or the event source in use does not bring what the connector does as its own test. The degraded source is used where it can be.",
		JA: "ファイル監視が有効ですが、イベントが届きません。このホストではカーネルモジュール ampfsm による監視が必要なのにモジュールをビルドまたはロードできないか、使用中のイベントソースがコネクタ自身のテスト操作を捕捉できていません。可能な場合は縮退モードで監視します。",
	},
	Detection: Text{
		EN: "The module is loaded and its own test event is awaited. Secure Boot, lockdown, enforced signatures, symbols and version of the kernel, other third-party modules and the build's output are read to tell the causes apart; kernel messages are quoted.",
		JA: "モジュールをロードし、自身のテストイベントが届くことを確認します。セキュアブート、ロックダウン、署名の強制、カーネルのシンボルとバージョン、他社製モジュール、ビルドの出力を調べて原因を切り分け、カーネルメッセージを引用します。",
	},
	Remedy: Text{
		EN: "Builds and loads the module for the running kernel; signs it where signatures are enforced and a machine-owner key is enrolled, or starts the enrolment of one; names a module that is in the way; " +
			"offers eBPF where only the policy forces modules. The reboot and the firmware's screens stay with the administrator and are described.",
		JA: "稼働中のカーネル向けにモジュールをビルドしてロードします。署名が強制されている場合は、登録済みの Machine Owner Key で署名するか、鍵の登録を開始します。妨げとなっているモジュールがあれば示し、" +
			"ポリシーだけがモジュールを強制している場合は eBPF を提案します。再起動とファームウェア画面での操作は管理者が行うものとして、手順を説明します。",
	},
}

var fault9 = Fault{
	ID: 9, Severity: Critical, ToRaise: kernelSettles, Judged: true,
	CausedBy: []ID{19, 16, 11},
	Name: Text{
		EN: "Realtime network monitor failed to start",
		JA: "リアルタイムのネットワーク監視を開始できません",
	},
	Meaning: Text{
		EN: "Network monitoring (device flow correlation) is on, and its events do not come: this host monitors with the kernel module ampnetworkflow, which cannot be built or loaded, or the event source in use does not bring what the connector does as its own test. The degraded source is used where it can be.",
		JA: "ネットワーク監視(デバイスフロー相関)が有効ですが、イベントが届きません。このホストではカーネルモジュール ampnetworkflow による監視が必要なのにモジュールをビルドまたはロードできないか、使用中のイベントソースがコネクタ自身のテスト接続を捕捉できていません。可能な場合は縮退モードで監視します。",
	},
	Detection: Text{
		EN: "The module is loaded and a loopback connection of the connector's own is awaited as its test event. Secure Boot, lockdown, enforced signatures, symbols and version of the kernel, other third-party modules and the build's output are read to tell the causes apart.",
		JA: "モジュールをロードし、コネクタ自身のループバック接続がテストイベントとして届くことを確認します。セキュアブート、ロックダウン、署名の強制、カーネルのシンボルとバージョン、他社製モジュール、ビルドの出力を調べて原因を切り分けます。",
	},
	Remedy: Text{
		EN: "The same steps as for fault 8, for the module ampnetworkflow: build and load, sign or enrol a key, name what is in the way, offer eBPF where only the policy forces modules.",
		JA: "フォールト 8 と同じ手順をモジュール ampnetworkflow に対して行います。ビルドとロード、署名または鍵の登録、妨げとなっているモジュールの提示、ポリシーだけがモジュールを強制している場合の eBPF の提案です。",
	},
}

var fault11 = Fault{
	ID: 11, Severity: Major, ToRaise: kernelSettles, Judged: true,
	Name: Text{
		EN: "Required kernel development package missing",
		JA: "必要なカーネル開発パッケージがありません",
	},
	Meaning: Text{
		EN: "The running kernel offers no BTF, no file has the BTF of exactly this kernel, and its header package is not installed or not complete, so that the layouts of its structures cannot be had and no full event source can be set up. File and network events are monitored in degraded mode.",
		JA: "稼働中のカーネルは BTF を提供しておらず、このカーネルに正確に一致する BTF ファイルもなく、ヘッダーパッケージも導入されていないか不完全です。カーネル構造体の配置が得られないため、完全なイベントソースを構成できません。ファイルとネットワークのイベントは縮退モードで監視されます。",
	},
	Detection: Text{
		EN: "/sys/kernel/btf/vmlinux is looked for, and files with the BTF of exactly this kernel in /var/lib/cisco/amp/btf, /boot, /lib/modules and /usr/lib/debug; the build link below /lib/modules of the running release is resolved, its version header compared with uname -r, and the tree checked for completeness. A tree in which the compiler then misses a file is not complete either.",
		JA: "/sys/kernel/btf/vmlinux の有無と、/var/lib/cisco/amp/btf、/boot、/lib/modules、/usr/lib/debug にこのカーネルに正確に一致する BTF ファイルがあるかを調べます。また、/lib/modules 配下の稼働中リリースの build リンクをたどり、バージョンヘッダーを uname -r と比較し、ツリーが完全かどうかを確認します。コンパイル時に不足するファイルがあるツリーも不完全とみなします。",
	},
	Remedy: Text{
		EN: "Installs the header package of exactly the running kernel, or again where it is damaged, with make and a compiler where they are missing, and has the connector derive the layouts of the kernel's structures and change to eBPF, without a reboot or a restart. Says so plainly when the repositories no longer have that version. Names the newer kernel with BTF that they have, which is the better choice: the administrator installs it and reboots.",
		JA: "稼働中のカーネルに正確に一致するヘッダーパッケージを導入し(破損している場合は再導入し)、不足していれば make とコンパイラーも導入します。その後、コネクタがカーネル構造体の配置を導出し、再起動なしで eBPF に切り替わります。リポジトリに該当バージョンが残っていない場合は、その旨を明示します。リポジトリにある、BTF を備えた新しいカーネルも示します。こちらが望ましい選択ですが、導入と再起動は管理者が行います。",
	},
}

var fault16 = Fault{
	ID: 16, Severity: Critical, ToRaise: kernelSettles, Judged: true,
	CausedBy: []ID{19, 11}, // programs that the policy refuses, modules that only lack headers: the kernel itself may be fine
	Name: Text{
		EN: "Incompatible kernel",
		JA: "互換性のないカーネルです",
	},
	Meaning: Text{
		EN: "Monitoring is on and no full event source, neither eBPF nor a kernel module, can work on the running kernel: it is too old, or it refuses the programs, or the modules do not compile for it. Only degraded monitoring is left.",
		JA: "監視が有効ですが、稼働中のカーネルでは eBPF とカーネルモジュールのいずれの完全なイベントソースも動作しません。カーネルが古すぎる、プログラムが拒否される、またはモジュールをコンパイルできない状態です。縮退モードの監視のみが利用できます。",
	},
	Detection: Text{
		EN: "Each source is tried on the running kernel: the answer of the kernel decides, not its version number. The table of supported kernels says what is promised, and both are shown.",
		JA: "各イベントソースを稼働中のカーネルで実際に試します。バージョン番号ではなくカーネルの応答で判断します。サポート対象カーネルの表が示す内容も併せて表示します。",
	},
	Remedy: Text{
		EN: "Names the supported kernels that are installed or can be had, and the versions of the connector in the host's repositories, with the command that installs the newest. With --boot RELEASE it installs the chosen kernel from the host's own repositories, unless it is installed, and makes it the boot loader's default. It never reboots, and it shows how to go back.",
		JA: "導入済みまたは入手可能なサポート対象カーネルと、ホストのリポジトリにあるコネクタのバージョンおよび最新版を導入するコマンドを示します。--boot RELEASE を指定すると、選択したカーネルを (未導入の場合は) ホストのリポジトリから導入し、ブートローダーの既定に設定します。再起動は行わず、元に戻す方法も示します。",
	},
}
