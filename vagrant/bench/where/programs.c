// SPDX-License-Identifier: Apache-2.0
/*
 * programs prints a line of each eBPF program that has run while the kernel kept statistics (sysctl kernel.bpf_stats_enabled):
 *
 *	ID NAME RUNS NS
 */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
	return syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static void show(uint32_t id)
{
	union bpf_attr attr = { .prog_id = id };
	struct bpf_prog_info info = {};
	int fd = bpf(BPF_PROG_GET_FD_BY_ID, &attr);

	if (fd < 0) {
		if (errno == ENOENT) /* it went meanwhile */
			return;
		err(1, "program %u", id);
	}
	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = fd;
	attr.info.info_len = sizeof(info);
	attr.info.info = (uintptr_t)&info;
	if (bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) < 0)
		err(1, "program %u", id);
	close(fd);
	if (info.run_cnt)
		printf("%u %s %" PRIu64 " %" PRIu64 "\n", id, info.name, (uint64_t)info.run_cnt, (uint64_t)info.run_time_ns);
}

int main(void)
{
	union bpf_attr attr = {};

	while (bpf(BPF_PROG_GET_NEXT_ID, &attr) == 0) {
		uint32_t id = attr.next_id;

		show(id);
		memset(&attr, 0, sizeof(attr));
		attr.start_id = id;
	}
	if (errno != ENOENT)
		err(1, "list of programs");
	return 0;
}
