package bpf

// The objects are committed, so that a build needs no clang. clang 14 is Debian 12's; another version gives other bytes.

//go:generate go tool -modfile=../tools/go.mod bpf2go -cc clang-14 -strip llvm-strip-14 -target amd64,arm64 -no-global-types -output-stem process process programs/process.c -- -Wall -Werror -O2 -g -mcpu=v2 -Iheaders -Irecord
//go:generate go tool -modfile=../tools/go.mod bpf2go -cc clang-14 -strip llvm-strip-14 -target amd64,arm64 -no-global-types -output-stem process_second processSecond programs/process.c -- -Wall -Werror -O2 -g -mcpu=v2 -Iheaders -Irecord -DAMP_SECOND
//go:generate go tool -modfile=../tools/go.mod bpf2go -cc clang-14 -strip llvm-strip-14 -target amd64,arm64 -no-global-types -output-stem file_fentry fileFentry programs/file.c -- -Wall -Werror -O2 -g -mcpu=v2 -Iheaders -Irecord -DAMP_TRAMPOLINES
//go:generate go tool -modfile=../tools/go.mod bpf2go -cc clang-14 -strip llvm-strip-14 -target amd64,arm64 -no-global-types -output-stem file_fentry_second fileFentrySecond programs/file.c -- -Wall -Werror -O2 -g -mcpu=v2 -Iheaders -Irecord -DAMP_TRAMPOLINES -DAMP_SECOND
//go:generate go tool -modfile=../tools/go.mod bpf2go -cc clang-14 -strip llvm-strip-14 -target amd64,arm64 -no-global-types -output-stem file_kprobe fileKprobe programs/file.c -- -Wall -Werror -O2 -g -mcpu=v2 -Iheaders -Irecord
//go:generate go tool -modfile=../tools/go.mod bpf2go -cc clang-14 -strip llvm-strip-14 -target amd64,arm64 -no-global-types -output-stem file_calls fileCalls programs/file_calls.c -- -Wall -Werror -O2 -g -mcpu=v2 -Iheaders -Irecord
//go:generate go tool -modfile=../tools/go.mod bpf2go -cc clang-14 -strip llvm-strip-14 -target amd64,arm64 -no-global-types -output-stem network_tcp networkTCP programs/network_tcp.c -- -Wall -Werror -O2 -g -mcpu=v2 -Iheaders -Irecord
//go:generate go tool -modfile=../tools/go.mod bpf2go -cc clang-14 -strip llvm-strip-14 -target amd64,arm64 -no-global-types -output-stem network_udp networkUDP programs/network_udp.c -- -Wall -Werror -O2 -g -mcpu=v2 -Iheaders -Irecord
//go:generate go tool -modfile=../tools/go.mod bpf2go -cc clang-14 -strip llvm-strip-14 -target amd64,arm64 -no-global-types -output-stem system system programs/system.c -- -Wall -Werror -O2 -g -mcpu=v2 -Iheaders -Irecord
//go:generate go tool -modfile=../tools/go.mod bpf2go -cc clang-14 -strip llvm-strip-14 -target amd64,arm64 -no-global-types -output-stem system_calls systemCalls programs/system_calls.c -- -Wall -Werror -O2 -g -mcpu=v2 -Iheaders -Irecord
