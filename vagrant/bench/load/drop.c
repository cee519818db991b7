// SPDX-License-Identifier: Apache-2.0
/*
 * drop SOURCE FOLDER COUNT PAUSE_MS writes programs of 1 MB, each the beginning of SOURCE with a number and the marker behind it that the definitions of
 * the benchmark know (vagrant/bench/definitions.go), and prints a line of each:
 *
 *	closed NAME NS
 *
 * NS is the time since 1970 right before its descriptor is closed. Between two are PAUSE_MS and up to as much again, so that they do not keep step with
 * whoever looks for them every so often.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { size = 1 << 20, marker_size = 32 };

static const char marker[] = "amp-bench-marker-of-a-dropped-one";

static uint64_t now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

int main(int argc, char **argv)
{
	static char content[size];
	int fd, count, pause;

	if (argc != 5)
		errx(2, "usage: drop SOURCE FOLDER COUNT PAUSE_MS");
	count = atoi(argv[3]);
	pause = atoi(argv[4]);
	fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, content, size) != size)
		err(1, "%s: not 1 MB", argv[1]);
	close(fd);
	memcpy(content + size - marker_size, marker, marker_size);
	for (int i = 0; i < count; i++) {
		uint64_t wait = (pause + (uint64_t)pause * (i * 37 % count) / count) * 1000000ull;
		struct timespec t = { wait / 1000000000ull, wait % 1000000000ull };
		uint64_t closed;
		char path[256];

		nanosleep(&t, NULL);
		snprintf(path, sizeof(path), "%s/%04d", argv[2], i);
		memcpy(content + size - 2 * marker_size, &i, sizeof(i));
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
		if (fd < 0 || write(fd, content, size) != size)
			err(1, "%s", path);
		closed = now(CLOCK_REALTIME);
		close(fd);
		printf("closed %s %" PRIu64 "\n", path, closed);
	}
	return 0;
}
