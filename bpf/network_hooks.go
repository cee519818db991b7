package bpf

import (
	"github.com/ampconnector/amp/internal/fault"
	"github.com/ampconnector/amp/internal/monitor"
)

var (
	flowOpen   = monitor.KindsOf(monitor.FlowOpen)
	flowKinds  = monitor.KindsOf(monitor.FlowOpen, monitor.FlowClose)
	listenKind = monitor.KindsOf(monitor.Listen)
)

// networkHooks are the programs of network_tcp.c and network_udp.c.
var networkHooks = []hook{
	{object: "network_tcp", program: "amp_tcp_state", to: "inet_sock_set_state", sets: anySet, kinds: monitor.NetworkKinds, counted: monitor.FlowOpen, second: "network_tcp", interrupted: true},
	{object: "network_tcp", program: "amp_tcp_destroy", to: "tcp_destroy_sock", sets: tracepointSet, kinds: flowKinds, helper: true},

	{object: "network_tcp", program: "amp_tcp_accept_fentry", how: toFentry, to: "security_sock_graft", sets: fentrySet, kinds: flowKinds, counted: monitor.FlowOpen, second: "network_tcp"},
	{object: "network_tcp", program: "amp_tcp_accept_kprobe", how: toKprobe, to: "security_sock_graft", sets: kprobeSet, kinds: flowKinds},
	{object: "network_tcp", program: "amp_tcp_accept_call", how: toSysExit, to: "accept accept4", sets: tracepointSet, kinds: flowKinds},

	{object: "network_tcp", program: "amp_tcp_listen_fexit", how: toFexit, to: "inet_csk_listen_start", sets: fentrySet, kinds: listenKind, counted: monitor.Listen, second: "network_tcp"},
	{object: "network_tcp", program: "amp_tcp_listen_kretprobe", how: toKretprobe, to: "inet_csk_listen_start", sets: kprobeSet, kinds: listenKind},
	{object: "network_tcp", program: "amp_tcp_listen_call", how: toSysExit, to: "listen", sets: tracepointSet, kinds: listenKind},

	{object: "network_udp", program: "amp_udp_send_fentry", how: toFentry, to: "udp_sendmsg", sets: fentrySet, kinds: flowOpen},
	{object: "network_udp", program: "amp_udp_send_kprobe", how: toKprobe, to: "udp_sendmsg", sets: kprobeSet, kinds: flowOpen},
	{object: "network_udp", program: "amp_udp6_send_fentry", how: toFentry, to: "udpv6_sendmsg", sets: fentrySet, kinds: flowOpen},
	{object: "network_udp", program: "amp_udp6_send_kprobe", how: toKprobe, to: "udpv6_sendmsg", sets: kprobeSet, kinds: flowOpen},
	{object: "network_udp", program: "amp_udp_receive_fentry", how: toFentry, to: "skb_consume_udp", sets: fentrySet, kinds: flowOpen},
	{object: "network_udp", program: "amp_udp_receive_kprobe", how: toKprobe, to: "skb_consume_udp", sets: kprobeSet, kinds: flowOpen},

	{object: "network_udp", program: "amp_udp_sent", to: "sock_send_length", sets: tracepointSet, kinds: flowOpen},
	{object: "network_udp", program: "amp_udp_received", to: "sock_recv_length", sets: tracepointSet, kinds: flowOpen},
	{object: "network_udp", program: "amp_udp_sendto", how: toSysExit, to: "sendto", sets: tracepointSet, kinds: flowOpen},
	{object: "network_udp", program: "amp_udp_recvfrom", how: toSysExit, to: "recvfrom", sets: tracepointSet, kinds: flowOpen},
	{object: "network_udp", program: "amp_udp_sendmsg", how: toSysExit, to: "sendmsg", sets: tracepointSet, kinds: flowOpen},
	{object: "network_udp", program: "amp_udp_recvmsg", how: toSysExit, to: "recvmsg", sets: tracepointSet, kinds: flowOpen},
	{object: "network_udp", program: "amp_udp_sendmmsg", how: toSysExit, to: "sendmmsg", sets: tracepointSet, kinds: flowOpen},
	{object: "network_udp", program: "amp_udp_recvmmsg", how: toSysExit, to: "recvmmsg", sets: tracepointSet, kinds: flowOpen},
}

// networkBlindSpots are what no kernel shows to these programs.
var networkBlindSpots = []blindSpot{
	{anySet, monitor.BlindSpot{Kinds: monitor.KindsOf(monitor.FlowClose), What: fault.Text{
		EN: "The end of TCP connections that were open before monitoring began",
		JA: "監視の開始前に確立されていた TCP 接続の終了",
	}}},
	{anySet, monitor.BlindSpot{Kinds: flowOpen, What: fault.Text{
		EN: "Packets of raw sockets, and protocols other than TCP and UDP",
		JA: "RAW ソケットのパケット、および TCP と UDP 以外のプロトコル",
	}}},
	{fentrySet, monitor.BlindSpot{Kinds: flowOpen, What: fault.Text{
		EN: "Where the kernel can be preempted: first UDP packets of a flow while another process is preempted within the program on that CPU; these are not counted either",
		JA: "プリエンプション可能なカーネルで、別のプロセスが同じ CPU のプログラム内でプリエンプトされている間の、UDP フローの最初のパケット (件数にも含まれません)",
	}}},
	{tracepointSet, monitor.BlindSpot{Kinds: flowOpen, What: fault.Text{
		EN: "The address of the host to which a UDP packet went, where the socket is bound to none: it is shown as unspecified",
		JA: "ソケットが特定のアドレスにバインドされていない場合の UDP パケットの宛先ローカルアドレス (未指定アドレスとして表示)",
	}}},
	{tracepointSet, monitor.BlindSpot{Kinds: flowOpen, What: fault.Text{
		EN: "Before kernel 6.3: UDP packets that a connected socket sends or receives by write(2), read(2) or io_uring",
		JA: "カーネル 6.3 より前: 接続済み UDP ソケットが write(2)、read(2) または io_uring で送受信するパケット",
	}}},
	{tracepointSet, monitor.BlindSpot{Kinds: flowKinds, What: fault.Text{
		EN: "TCP connections accepted through io_uring or in system calls of 32-bit programs",
		JA: "io_uring 経由、または 32 ビットプログラムのシステムコールで受け付けられた TCP 接続",
	}}},
	{tracepointSet, monitor.BlindSpot{Kinds: flowOpen, What: fault.Text{
		EN: "UDP packets received by a socket without a peer, if the process does not ask for the sender's address; those after the eighth in one sendmmsg or recvmmsg; those of such sockets through io_uring or in system calls of 32-bit programs",
		JA: "接続先のない UDP ソケットで、プロセスが送信元アドレスを取得しない受信パケット、1 回の sendmmsg または recvmmsg の 9 番目以降のパケット、および io_uring 経由または 32 ビットプログラムのシステムコールによるパケット",
	}}},
}
