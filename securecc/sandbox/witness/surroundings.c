/* The time, the machine and chance: answers that nobody can give a second time. */
#define _GNU_SOURCE
#include "kernel.h"
#include "libc.h"
#include "log.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

EXPORTED time_t time(time_t *where)
{
    struct timespec now = {0};
    note_asker(CLOCK, "time", ASKER);
    KERNEL(SYS_clock_gettime, CLOCK_REALTIME, &now, 0, 0);
    if (where)
        *where = now.tv_sec;
    return now.tv_sec;
}

EXPORTED int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    note_asker(CLOCK, "gettimeofday", ASKER);
    return (int)returned(KERNEL(SYS_gettimeofday, now, zone, 0, 0));
}

/* Only the clocks that tell the time of day: the others measure durations. */
EXPORTED int clock_gettime(clockid_t clock, struct timespec *now)
{
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI)
        note_asker(CLOCK, "clock_gettime", ASKER);
    return (int)returned(KERNEL(SYS_clock_gettime, clock, now, 0, 0));
}

/* These depend on the time zone. */
EXPORTED struct tm *localtime(const time_t *when)
{
    struct tm *(*original)(const time_t *) = behind("localtime");
    note_asker(CLOCK, "localtime", ASKER);
    return original ? original(when) : NULL;
}

EXPORTED struct tm *localtime_r(const time_t *restrict when, struct tm *restrict result)
{
    struct tm *(*original)(const time_t *restrict, struct tm *restrict) = behind("localtime_r");
    note_asker(CLOCK, "localtime", ASKER);
    return original ? original(when, result) : NULL;
}

EXPORTED char *ctime(const time_t *when)
{
    char *(*original)(const time_t *) = behind("ctime");
    note_asker(CLOCK, "localtime", ASKER);
    return original ? original(when) : NULL;
}

EXPORTED int uname(struct utsname *name)
{
    note_asker(MACHINE, "uname", ASKER);
    return (int)returned(KERNEL(SYS_uname, name, 0, 0, 0));
}

EXPORTED int gethostname(char *name, size_t size)
{
    struct utsname here;
    note_asker(MACHINE, "gethostname", ASKER);
    const long result = KERNEL(SYS_uname, &here, 0, 0, 0);
    if (result < 0)
        return (int)returned(result);
    const size_t length = length_of(here.nodename);
    for (size_t at = 0; at <= length && at < size; at++)
        name[at] = here.nodename[at];
    return (int)returned(length < size ? 0 : -ENAMETOOLONG);
}

EXPORTED int __gethostname_chk(char *name, size_t size, size_t room)
{
    (void)room;
    return gethostname(name, size);
}

EXPORTED pid_t getpid(void)
{
    note_asker(MACHINE, "getpid", ASKER);
    return (pid_t)KERNEL(SYS_getpid, 0, 0, 0, 0);
}

EXPORTED uid_t getuid(void)
{
    note_asker(MACHINE, "getuid", ASKER);
    return (uid_t)KERNEL(SYS_getuid, 0, 0, 0, 0);
}

/* Its other questions are of the kernel and the C library, not of this machine. */
EXPORTED long sysconf(int which)
{
    static long (*original)(int);
    if (!original)
        original = (long (*)(int))behind("sysconf");
    if (which == _SC_NPROCESSORS_ONLN || which == _SC_NPROCESSORS_CONF)
        note_asker(MACHINE, "processors", ASKER);
    return original ? original(which) : returned(-EINVAL);
}

EXPORTED ssize_t getrandom(void *to, size_t size, unsigned int flags)
{
    note_asker(CHANCE, "getrandom", ASKER);
    return returned(KERNEL(SYS_getrandom, to, size, flags, 0));
}

EXPORTED int getentropy(void *to, size_t size)
{
    note_asker(CHANCE, "getentropy", ASKER);
    const long found = KERNEL(SYS_getrandom, to, size, 0, 0);
    return (int)returned(found < 0 ? found : (size_t)found == size ? 0 : -EIO);
}

EXPORTED uint32_t arc4random(void)
{
    uint32_t value = 0;
    note_asker(CHANCE, "arc4random", ASKER);
    KERNEL(SYS_getrandom, &value, sizeof value, 0, 0);
    return value;
}
