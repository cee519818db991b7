// SPDX-License-Identifier: Apache-2.0
/*
 * load WORKLOAD COUNT FOLDER [COMMAND…] makes a known number of operations and prints one line:
 *
 *	busy_ns elapsed_ns
 *
 * busy is the time in which the processor did anything but idle, from the workload's start until the processor came to rest after it, so
 * that what a monitor's reader does later counts too. elapsed is how long the workload itself took. "settle" only waits for rest.
 *
 * It is meant for one processor whose clock counts instructions: busy is then the number of instructions, interrupts in idle excepted.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	port = 7777,
	file_size = 2048,
	files_per_folder = 20,
	backlog = 128,
};

#define MS 1000000ull
#define REST_WINDOW (250 * MS) /* the processor is at rest if in so long a time */
#define REST_BUSY (5 * MS)     /* it was busy for no longer than that */
#define REST_LEAST (1500 * MS) /* readers that wake up every second are waited for */
#define REST_MOST (120000 * MS)

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void nap(uint64_t ns)
{
	struct timespec t = { ns / 1000000000ull, ns % 1000000000ull };

	nanosleep(&t, NULL);
}

/*
 * The kernel adds up the time of tasks that have left the processor (proc(5): /proc/schedstat, rq_cpu_time in kernel/sched/stats.c, the
 * seventh number of a processor's line; in ns). The nap makes this program leave it.
 */
static uint64_t busy(void)
{
	char line[4096];
	uint64_t ns;
	FILE *f;

	nap(1000);
	f = fopen("/proc/schedstat", "re");
	if (!f)
		err(1, "/proc/schedstat");
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "cpu0 %*u %*u %*u %*u %*u %*u %" SCNu64, &ns) == 1) {
			fclose(f);
			return ns;
		}
	}
	errx(1, "/proc/schedstat: no line of cpu0 with seven numbers");
}

/* rest waits until the processor is at rest; a monitor that never lets it rest is cut off. */
static void rest(void)
{
	uint64_t start = now(), before = busy();

	while (now() - start < REST_MOST) {
		uint64_t after;

		nap(REST_WINDOW);
		after = busy();
		if (after - before <= REST_BUSY && now() - start >= REST_LEAST)
			return;
		before = after;
	}
}

static void execute(const char *path)
{
	int status;
	pid_t pid = vfork();

	if (pid == 0) {
		execl(path, path, (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || WEXITSTATUS(status) > 1)
		err(1, "execute %s", path);
}

static void open_close(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		err(1, "open %s", path);
	close(fd);
}

static void write_file(const char *path)
{
	static char content[file_size];
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, content, sizeof(content)) != sizeof(content))
		err(1, "write %s", path);
	close(fd);
}

/* unpack writes the i-th file as unpackers do, under a name that is not its last one. */
static void unpack(const char *folder, int i)
{
	char temporary[256], path[256];

	snprintf(path, sizeof(path), "%s/d%d", folder, i / files_per_folder);
	if (i % files_per_folder == 0 && mkdir(path, 0755) < 0)
		err(1, "mkdir %s", path);
	snprintf(temporary, sizeof(temporary), "%s/d%d/f%d.new", folder, i / files_per_folder, i);
	snprintf(path, sizeof(path), "%s/d%d/f%d", folder, i / files_per_folder, i);
	write_file(temporary);
	if (rename(temporary, path) < 0)
		err(1, "rename %s", path);
}

static void take_away(const char *folder, int i, int count)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/d%d/f%d", folder, i / files_per_folder, i);
	if (unlink(path) < 0)
		err(1, "unlink %s", path);
	if ((i + 1) % files_per_folder && i + 1 != count)
		return;
	snprintf(path, sizeof(path), "%s/d%d", folder, i / files_per_folder);
	if (rmdir(path) < 0)
		err(1, "rmdir %s", path);
}

static struct sockaddr_in address(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	return a;
}

/* serve starts a child that answers each connection with one byte. */
static void serve(void)
{
	struct sockaddr_in a = address();
	int one = 1, s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (s < 0 || setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 || bind(s, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(s, backlog) < 0)
		err(1, "listen on port %d", port);
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;) {
			int c = accept4(s, NULL, NULL, SOCK_CLOEXEC);

			if (c < 0 || write(c, "", 1) != 1)
				_exit(1);
			close(c);
		}
	}
	close(s);
}

static void call(void)
{
	struct sockaddr_in a = address();
	char byte;
	int c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (c < 0 || connect(c, (struct sockaddr *)&a, sizeof(a)) < 0 || read(c, &byte, 1) != 1 || read(c, &byte, 1) != 0)
		err(1, "connect to port %d", port);
	close(c);
}

static void run(char **command)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		execvp(command[0], command);
		err(127, "%s", command[0]);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		errx(1, "%s: status %#x", command[0], status);
}

static void work(const char *workload, int count, const char *folder, char **command)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/opened", folder);
	for (int i = 0; i < count; i++) {
		if (!strcmp(workload, "exec"))
			execute("/bin/true");
		else if (!strcmp(workload, "open"))
			open_close(path);
		else if (!strcmp(workload, "files"))
			unpack(folder, i);
		else if (!strcmp(workload, "connect"))
			call();
		else if (!strcmp(workload, "compile"))
			run(command);
		else if (!strcmp(workload, "mixed")) {
			execute("/bin/false");
			unpack(folder, i);
			call();
		} else
			errx(2, "no workload %s", workload);
	}
	if (!strcmp(workload, "files") || !strcmp(workload, "mixed"))
		for (int i = 0; i < count; i++)
			take_away(folder, i, count);
}

int main(int argc, char **argv)
{
	uint64_t before, start, elapsed;

	if (argc == 2 && !strcmp(argv[1], "settle")) {
		rest();
		return 0;
	}
	if (argc < 4)
		errx(2, "usage: load WORKLOAD COUNT FOLDER [COMMAND…]");
	if (!strcmp(argv[1], "open")) {
		char path[256];

		snprintf(path, sizeof(path), "%s/opened", argv[3]);
		if (access(path, F_OK) < 0)
			write_file(path);
	}
	if (!strcmp(argv[1], "connect") || !strcmp(argv[1], "mixed"))
		serve();
	rest();
	before = busy();
	start = now();
	work(argv[1], atoi(argv[2]), argv[3], argv + 4);
	elapsed = now() - start;
	rest();
	printf("%" PRIu64 " %" PRIu64 "\n", busy() - before, elapsed);
	return 0;
}
