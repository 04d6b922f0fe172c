/* Files of new names: mkstemp(3) and its kin. The C library's own would not tell the names that it makes up. */
#define _GNU_SOURCE
#define _LARGEFILE64_SOURCE
#include "kernel.h"
#include "libc.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { LETTERS = 6, TRIES = 100 };

/* Fills in the last six X before `suffix` characters, until there is no file of that name. */
static long made(char *template, int suffix, int flags, int is_directory)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    const size_t length = length_of(template);
    if (suffix < 0 || length < (size_t)suffix + LETTERS)
        return -EINVAL;
    char *letters = template + length - (size_t)suffix - LETTERS;
    for (int at = 0; at < LETTERS; at++)
        if (letters[at] != 'X')
            return -EINVAL;
    for (int tries = 0; tries < TRIES; tries++) {
        uint64_t random = 0;
        KERNEL(SYS_getrandom, &random, sizeof random, 0, 0);
        for (int at = 0; at < LETTERS; at++, random /= sizeof alphabet - 1)
            letters[at] = alphabet[random % (sizeof alphabet - 1)];
        const int how = (flags & ~O_ACCMODE) | O_RDWR | O_CREAT | O_EXCL;
        const long result = is_directory ? KERNEL(SYS_mkdirat, AT_FDCWD, template, 0700, 0)
                                         : KERNEL(SYS_openat, AT_FDCWD, template, how, 0600);
        if (result != -EEXIST) {
            disregard(template);
            return result;
        }
    }
    return -EEXIST;
}

EXPORTED int mkstemp(char *template) { return (int)returned(made(template, 0, 0, 0)); }
EXPORTED int mkostemp(char *template, int flags) { return (int)returned(made(template, 0, flags, 0)); }
EXPORTED int mkstemps(char *template, int suffix) { return (int)returned(made(template, suffix, 0, 0)); }
EXPORTED int mkostemps(char *template, int suffix, int flags)
{
    return (int)returned(made(template, suffix, flags, 0));
}
EXPORTED char *mkdtemp(char *template) { return returned(made(template, 0, 0, 1)) < 0 ? NULL : template; }

EXPORTED int mkstemp64(char *) __attribute__((alias("mkstemp")));
EXPORTED int mkostemp64(char *, int) __attribute__((alias("mkostemp")));
EXPORTED int mkstemps64(char *, int) __attribute__((alias("mkstemps")));
EXPORTED int mkostemps64(char *, int, int) __attribute__((alias("mkostemps")));
