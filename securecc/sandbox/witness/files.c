/* Names of files: open(2), stat(2), access(2), and what the C library makes of them. */
#define _GNU_SOURCE
#define _LARGEFILE64_SOURCE
#include "kernel.h"
#include "libc.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

static long opened(int at, const char *path, int flags, mode_t mode)
{
    if (flags & O_CREAT && flags & O_EXCL) { /* where such a file goes in the end is told by rename(2) */
        const long made = KERNEL(SYS_openat, at, path, flags, mode);
        if (made == -EEXIST)
            note(kind_at(at, path, LINK), look(at, path, AT_SYMLINK_NOFOLLOW), path);
        else
            disregard(path);
        return returned(made);
    }
    if (flags & (O_CREAT | O_TRUNC)) {
        note(kind_at(at, path, WRITTEN), look(at, path, 0), path);
        return returned(KERNEL(SYS_openat, at, path, flags, mode));
    }
    struct stat state;
    const long file = KERNEL(SYS_openat, at, path, flags, mode);
    const long result = file < 0 ? file : KERNEL(SYS_fstat, file, &state, 0, 0);
    note(kind_at(at, path, NAME), answer_of(result, &state), path);
    if (file >= 0 && (same(path, "/dev/urandom") || same(path, "/dev/random")))
        note(CHANCE, PRESENT, path);
    return returned(file);
}

#define MODE_AFTER(flags, mode)                                                                                        \
    mode_t mode = 0;                                                                                                   \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                                                             \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode = (mode_t)va_arg(rest, int);                                                                              \
        va_end(rest);                                                                                                  \
    }

EXPORTED int open(const char *path, int flags, ...)
{
    MODE_AFTER(flags, mode)
    return (int)opened(AT_FDCWD, path, flags, mode);
}

EXPORTED int openat(int at, const char *path, int flags, ...)
{
    MODE_AFTER(flags, mode)
    return (int)opened(at, path, flags, mode);
}

EXPORTED int __open_2(const char *path, int flags) { return (int)opened(AT_FDCWD, path, flags, 0); }
EXPORTED int __openat_2(int at, const char *path, int flags) { return (int)opened(at, path, flags, 0); }
EXPORTED int creat(const char *path, mode_t mode)
{
    return (int)opened(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

EXPORTED int open64(const char *, int, ...) __attribute__((alias("open")));
EXPORTED int openat64(int, const char *, int, ...) __attribute__((alias("openat")));
EXPORTED int __open64_2(const char *, int) __attribute__((alias("__open_2")));
EXPORTED int __openat64_2(int, const char *, int) __attribute__((alias("__openat_2")));
EXPORTED int creat64(const char *, mode_t) __attribute__((alias("creat")));

extern FILE *fdopen(int, const char *) WEAK;

/* fopen(3): "Mode r+ ... w ... a+". Returns -1 for anything else. */
static int flags_of(const char *mode)
{
    if (mode[0] != 'r' && mode[0] != 'w' && mode[0] != 'a')
        return -1;
    int flags = mode[0] == 'r' ? O_RDONLY : O_WRONLY | O_CREAT | (mode[0] == 'a' ? O_APPEND : O_TRUNC);
    for (const char *each = mode; *each != '\0' && *each != ','; each++) {
        if (*each == '+')
            flags = (flags & ~O_ACCMODE) | O_RDWR;
        if (*each == 'e')
            flags |= O_CLOEXEC;
        if (*each == 'x')
            flags |= O_EXCL;
    }
    return flags;
}

EXPORTED FILE *fopen(const char *path, const char *mode)
{
    const int flags = flags_of(mode);
    if (flags < 0)
        return returned(-EINVAL), NULL;
    const long file = opened(AT_FDCWD, path, flags, 0666);
    FILE *stream = file < 0 ? NULL : fdopen((int)file, mode);
    if (file >= 0 && !stream)
        KERNEL(SYS_close, file, 0, 0, 0);
    return stream;
}

EXPORTED FILE *freopen(const char *path, const char *mode, FILE *stream)
{
    FILE *(*original)(const char *, const char *, FILE *) = behind("freopen");
    const int flags = flags_of(mode);
    if (path && flags >= 0)
        note(flags & O_CREAT ? WRITTEN : NAME, look(AT_FDCWD, path, 0), path);
    return original ? original(path, mode, stream) : NULL;
}

EXPORTED FILE *fopen64(const char *, const char *) __attribute__((alias("fopen")));
EXPORTED FILE *freopen64(const char *, const char *, FILE *) __attribute__((alias("freopen")));

static int examined(int at, const char *path, struct stat *state, int flags)
{
    const long result = KERNEL(SYS_newfstatat, at, path, state, flags);
    if (!(flags & AT_EMPTY_PATH) || path[0] != '\0')
        note(kind_at(at, path, flags & AT_SYMLINK_NOFOLLOW ? LINK : NAME), answer_of(result, state), path);
    return (int)returned(result);
}

EXPORTED int stat(const char *path, struct stat *state) { return examined(AT_FDCWD, path, state, 0); }
EXPORTED int lstat(const char *path, struct stat *state)
{
    return examined(AT_FDCWD, path, state, AT_SYMLINK_NOFOLLOW);
}
EXPORTED int fstatat(int at, const char *path, struct stat *state, int flags)
{
    return examined(at, path, state, flags);
}
EXPORTED int __xstat(int version, const char *path, struct stat *state)
{
    (void)version;
    return examined(AT_FDCWD, path, state, 0);
}
EXPORTED int __lxstat(int version, const char *path, struct stat *state)
{
    (void)version;
    return examined(AT_FDCWD, path, state, AT_SYMLINK_NOFOLLOW);
}
EXPORTED int __fxstatat(int version, int at, const char *path, struct stat *state, int flags)
{
    (void)version;
    return examined(at, path, state, flags);
}

EXPORTED int stat64(const char *, struct stat64 *) __attribute__((alias("stat")));
EXPORTED int lstat64(const char *, struct stat64 *) __attribute__((alias("lstat")));
EXPORTED int fstatat64(int, const char *, struct stat64 *, int) __attribute__((alias("fstatat")));
EXPORTED int __xstat64(int, const char *, struct stat64 *) __attribute__((alias("__xstat")));
EXPORTED int __lxstat64(int, const char *, struct stat64 *) __attribute__((alias("__lxstat")));
EXPORTED int __fxstatat64(int, int, const char *, struct stat64 *, int) __attribute__((alias("__fxstatat")));

EXPORTED int statx(int at, const char *path, int flags, unsigned int mask, struct statx *state)
{
    const long result = kernel(SYS_statx, at, (long)path, flags, mask, (long)state, 0);
    const struct stat type = {.st_mode = result < 0 ? 0 : state->stx_mode};
    if (!(flags & AT_EMPTY_PATH) || path[0] != '\0')
        note(kind_at(at, path, flags & AT_SYMLINK_NOFOLLOW ? LINK : NAME), answer_of(result, &type), path);
    return (int)returned(result);
}

/* Of a file that is there, whether it may be read, written or executed is a question of its own. */
static int accessible(int at, const char *path, int mode, int flags)
{
    const long result =
        flags ? KERNEL(SYS_faccessat2, at, path, mode, flags) : KERNEL(SYS_faccessat, at, path, mode, 0);
    const enum answer found = look(at, path, flags & AT_SYMLINK_NOFOLLOW);
    note(kind_at(at, path, NAME), found, path);
    if (mode && found != ABSENT) {
        char mark[MARK] = "----------------";
        mark[0] = (char)('0' + (mode & 7));
        note_marked(kind_at(at, path, ALLOWED), result < 0 ? REFUSED : PRESENT, mark, path);
    }
    return (int)returned(result);
}

EXPORTED int access(const char *path, int mode) { return accessible(AT_FDCWD, path, mode, 0); }
EXPORTED int eaccess(const char *path, int mode) { return accessible(AT_FDCWD, path, mode, AT_EACCESS); }
EXPORTED int euidaccess(const char *, int) __attribute__((alias("eaccess")));
EXPORTED int faccessat(int at, const char *path, int mode, int flags) { return accessible(at, path, mode, flags); }

static int moved(int at, const char *from, int to_at, const char *to)
{
    note(kind_at(to_at, to, WRITTEN), look(to_at, to, 0), to);
    return (int)returned(kernel(SYS_renameat2, at, (long)from, to_at, (long)to, 0, 0));
}

EXPORTED int rename(const char *from, const char *to) { return moved(AT_FDCWD, from, AT_FDCWD, to); }
EXPORTED int renameat(int at, const char *from, int to_at, const char *to) { return moved(at, from, to_at, to); }
