/* One module of the program, under the name that the Makefile gives it. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct entry {
	struct entry *next;
	int key;
	char text[16];
};

static struct entry *push(struct entry *list, int key)
{
	struct entry *e = malloc(sizeof(*e));

	if (!e)
		abort();
	e->next = list;
	e->key = key;
	snprintf(e->text, sizeof(e->text), "%d", key);
	return e;
}

static int sum(const struct entry *list)
{
	int s = 0;

	for (; list; list = list->next)
		s += list->key + (int)strlen(list->text);
	return s;
}

static void drop(struct entry *list)
{
	while (list) {
		struct entry *next = list->next;

		free(list);
		list = next;
	}
}

int NAME(int n);

int NAME(int n)
{
	struct entry *list = NULL;
	int s;

	for (int i = 0; i < n; i++)
		list = push(list, i * i);
	s = sum(list);
	drop(list);
	return s;
}
