/* A wall clock that is wrong by a given number of seconds, for a program started with LD_PRELOAD.
 *
 * Why apart: it stands where the system library stands, so it is written in its language.
 *
 * ANCHORHOLD_WRONG_BY: seconds to add. ANCHORHOLD_WRONG_WITNESS: a file that gets one byte when the library is
 * loaded and one more each time the wall clock is read. Both are read before main, since the enclave clears its
 * environment. Monotonic clocks are left alone.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long wrong_by;
static int witness = -1;

static void say(const char *byte)
{
    if (witness >= 0 && write(witness, byte, 1) != 1)
        witness = -1;
}

__attribute__((constructor)) static void begin(void)
{
    const char *seconds = getenv("ANCHORHOLD_WRONG_BY");
    const char *path = getenv("ANCHORHOLD_WRONG_WITNESS");
    if (seconds)
        wrong_by = atol(seconds);
    if (path)
        witness = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    say("L");
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    long failed = syscall(SYS_clock_gettime, clock, now);
    if (failed == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        now->tv_sec += wrong_by;
        say("r");
    }
    return (int)failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &precise) != 0)
        return -1;
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now)
{
    struct timespec precise;
    if (clock_gettime(CLOCK_REALTIME, &precise) != 0)
        return (time_t)-1;
    if (now)
        *now = precise.tv_sec;
    return precise.tv_sec;
}
