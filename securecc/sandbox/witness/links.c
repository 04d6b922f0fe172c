/* Symbolic links: readlink(2), and realpath(3), which asks of each name on the way what it is. */
#define _GNU_SOURCE
#include "kernel.h"
#include "libc.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

enum { MOST_LINKS = 40 };

static long target_of(int at, const char *path, char *target, size_t size)
{
    const long result = KERNEL(SYS_readlinkat, at, path, target, size);
    note(kind_at(at, path, LINK), result >= 0 ? SYMLINK : look(at, path, AT_SYMLINK_NOFOLLOW), path);
    return result;
}

EXPORTED ssize_t readlink(const char *path, char *target, size_t size)
{
    return returned(target_of(AT_FDCWD, path, target, size));
}
EXPORTED ssize_t readlinkat(int at, const char *path, char *target, size_t size)
{
    return returned(target_of(at, path, target, size));
}
EXPORTED ssize_t __readlink_chk(const char *path, char *target, size_t size, size_t room)
{
    (void)room;
    return returned(target_of(AT_FDCWD, path, target, size));
}
EXPORTED ssize_t __readlinkat_chk(int at, const char *path, char *target, size_t size, size_t room)
{
    (void)room;
    return returned(target_of(at, path, target, size));
}

/* Directories that this process has found on its ways, and told of: realpath(3) is asked for hundreds of files in a few
 * directories, which do not become links meanwhile. First come, first kept; written once, so that threads may read. */
enum { FOLDERS = 1024, FOLDER_TEXTS = 64 * 1024 };
static _Atomic uint32_t folders[FOLDERS]; /* where the text begins, plus one */
static char folder_texts[FOLDER_TEXTS];
static _Atomic uint32_t folder_texts_used;

static int is_known_folder(const char *path, uint64_t hash)
{
    const uint32_t at = atomic_load_explicit(&folders[hash % FOLDERS], memory_order_acquire);
    return at != 0 && same(folder_texts + at - 1, path);
}

static void know_folder(const char *path, size_t length, uint64_t hash)
{
    uint32_t empty = 0;
    if (atomic_load_explicit(&folders[hash % FOLDERS], memory_order_relaxed) != 0 || length >= FOLDER_TEXTS / 8)
        return;
    const uint32_t at = atomic_fetch_add(&folder_texts_used, (uint32_t)length + 1);
    if (at > FOLDER_TEXTS - length - 1) {
        atomic_store(&folder_texts_used, FOLDER_TEXTS); /* full, whoever comes */
        return;
    }
    for (size_t each = 0; each <= length; each++)
        folder_texts[at + each] = path[each];
    atomic_compare_exchange_strong_explicit(&folders[hash % FOLDERS], &empty, at + 1, memory_order_release,
                                            memory_order_relaxed);
}

struct walk {
    char rest[(MOST_LINKS + 1) * PATH_MAX]; /* still to be gone: each link may add to it */
    char done[PATH_MAX]; /* without links; empty for the root */
    size_t length;       /* of `done` */
    int links;
};

static void copy(char *to, const char *from, size_t length)
{
    for (size_t at = 0; at < length; at++)
        to[at] = from[at];
    to[length] = '\0';
}

/* Moves text with its NUL within a buffer. */
static void move(char *to, const char *from, size_t length)
{
    if (to < from)
        copy(to, from, length);
    else
        for (size_t at = length + 1; at-- > 0;)
            to[at] = from[at];
}

static void go_up(struct walk *walk)
{
    while (walk->length > 0 && walk->done[--walk->length] != '/')
        ;
    walk->done[walk->length] = '\0';
}

/* Goes on with what a link leads to. Returns 0, or minus an errno. */
static long follow(struct walk *walk, size_t before, const char *target, size_t size, const char *next)
{
    if (++walk->links > MOST_LINKS)
        return -ELOOP;
    move(walk->rest + size, next, length_of(next));
    for (size_t at = 0; at < size; at++)
        walk->rest[at] = target[at];
    walk->length = target[0] == '/' ? 0 : before;
    walk->done[walk->length] = '\0';
    return 0;
}

/* One step: the first name of `rest`, of `size` characters. Returns 1 for a link that was followed. */
static long step(struct walk *walk, const char *name, size_t size)
{
    char target[PATH_MAX];
    const size_t before = walk->length;
    if (before + size + 2 > PATH_MAX)
        return -ENAMETOOLONG;
    walk->done[before] = '/';
    copy(walk->done + before + 1, name, size);
    walk->length = before + 1 + size;
    const uint64_t hash = hash_of(walk->done);
    if (is_known_folder(walk->done, hash))
        return 0;
    const long found = KERNEL(SYS_readlinkat, AT_FDCWD, walk->done, target, sizeof target - 1);
    const enum answer answer = found >= 0 ? SYMLINK : look(AT_FDCWD, walk->done, AT_SYMLINK_NOFOLLOW);
    note(LINK, answer, walk->done);
    if (found >= 0) {
        const long wrong = follow(walk, before, target, (size_t)found, name + size);
        return wrong ? wrong : 1;
    }
    if (found != -EINVAL)
        return found;
    if (answer == FOLDER)
        know_folder(walk->done, walk->length, hash);
    return name[size] == '/' && answer != FOLDER ? -ENOTDIR : 0;
}

static long walked(struct walk *walk)
{
    for (const char *next = walk->rest; *next != '\0';) {
        size_t size = 0;
        while (*next == '/')
            next++;
        while (next[size] != '\0' && next[size] != '/')
            size++;
        if (size == 2 && next[0] == '.' && next[1] == '.') {
            go_up(walk);
        } else if (size > 1 || (size == 1 && next[0] != '.')) {
            const long result = step(walk, next, size);
            if (result < 0)
                return result;
            if (result > 0) {
                next = walk->rest;
                continue;
            }
        }
        next += size;
    }
    return 0;
}

static long started(struct walk *walk, const char *path)
{
    const size_t length = path ? length_of(path) : 0;
    walk->length = 0;
    walk->links = 0;
    walk->done[0] = '\0';
    if (length == 0 || length >= PATH_MAX)
        return !path ? -EINVAL : length ? -ENAMETOOLONG : -ENOENT;
    copy(walk->rest, path, length);
    if (path[0] == '/')
        return 0;
    const long size = KERNEL(SYS_getcwd, walk->done, PATH_MAX, 0, 0); /* with its NUL */
    if (size < 0)
        return size;
    walk->length = size == 2 ? 0 : (size_t)size - 1;
    walk->done[walk->length] = '\0';
    return 0;
}

extern void *malloc(size_t) WEAK;

EXPORTED char *realpath(const char *path, char *resolved)
{
    struct walk walk;
    long wrong = started(&walk, path);
    if (!wrong)
        wrong = walked(&walk);
    if (wrong)
        return returned(wrong), NULL;
    if (walk.length == 0)
        copy(walk.done, "/", walk.length = 1);
    char *result = resolved ? resolved : malloc(walk.length + 1);
    if (result)
        copy(result, walk.done, walk.length);
    return result;
}

EXPORTED char *__realpath_chk(const char *path, char *resolved, size_t room)
{
    (void)room;
    return realpath(path, resolved);
}
EXPORTED char *canonicalize_file_name(const char *path) { return realpath(path, NULL); }
