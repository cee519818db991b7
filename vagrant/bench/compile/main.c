#include <stdio.h>

int alpha(int);
int beta(int);
int epsilon(int);
int delta(int);

int main(int argc, char **argv)
{
	(void)argv;
	return printf("%d\n", alpha(argc) + beta(argc) + epsilon(argc) + delta(argc)) < 0;
}
