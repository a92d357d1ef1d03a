/*
 * clock.c: the clocks of the processes that preload this, set forward or back
 * by the microseconds that the file named by CLOCK_OFFSET holds, as two signed
 * 64-bit integers: the wall clock, as an administrator sets it, and the
 * monotonic one, which stands still meanwhile; both together are time that
 * passes.  They can be changed at any time.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int64_t
offset(clockid_t clock)
{
	static volatile int64_t *mapped = NULL;

	if (mapped == NULL)
	{
		const char *name = getenv("CLOCK_OFFSET");
		int			file = name != NULL ? open(name, O_RDONLY | O_CLOEXEC) : -1;
		void	   *address;

		if (file < 0)
			return 0;
		address = mmap(NULL, 2 * sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
		close(file);
		if (address == MAP_FAILED)
			return 0;
		mapped = address;
	}
	return mapped[clock == CLOCK_MONOTONIC];
}

int
clock_gettime(clockid_t clock, struct timespec *at)
{
	int			result = syscall(SYS_clock_gettime, clock, at);

	if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC))
	{
		int64_t		now = at->tv_sec * INT64_C(1000000) + at->tv_nsec / 1000 + offset(clock);

		at->tv_sec = now / 1000000;
		at->tv_nsec = now % 1000000 * 1000;
	}
	return result;
}

int
gettimeofday(struct timeval *restrict at, void *restrict zone)
{
	struct timespec now;

	if (clock_gettime(CLOCK_REALTIME, &now) != 0)
		return -1;
	at->tv_sec = now.tv_sec;
	at->tv_usec = now.tv_nsec / 1000;
	return 0;
}

time_t
time(time_t *at)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (at != NULL)
		*at = now.tv_sec;
	return now.tv_sec;
}
