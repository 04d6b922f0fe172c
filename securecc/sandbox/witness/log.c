#define _GNU_SOURCE
#include "log.h"
#include "kernel.h"
#include "libc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>

#ifndef FOLDER_OF_JOB /* tests have one of their own */
#define FOLDER_OF_JOB "/.securecc/"
#endif
#define PATH FOLDER_OF_JOB "witness"
#define TEMPORARY FOLDER_OF_JOB "tmp"
#define FORMAT 0x31574353u /* "SCW1" */
enum { REMEMBERED = 2048 /* questions of one process, so that most are written down once */ };
enum { LONGEST = 8192, DISREGARDED = 16 };

/* What the runner reads (securecc/runner/witness_log.py). All questions were written whole if as many bytes are
 * finished as are taken, and by all programs if one more has begun than was started. */
struct log {
    uint32_t format;
    _Atomic uint32_t overflow;
    uint64_t capacity; /* bytes after the header */
    _Atomic uint64_t taken, finished;
    _Atomic uint32_t begun, started;
    char reserved[24];
};

static struct log *shared;
static char driver; /* added to the kinds that the job's first program notes: it makes them lower case */
static _Atomic uint64_t remembered[REMEMBERED];
static _Atomic uint64_t disregarded[DISREGARDED]; /* hashes of names */
static _Atomic uint32_t disregards;

__attribute__((constructor)) static void begin(void)
{
    if (shared)
        return;
    struct stat state;
    long file = KERNEL(SYS_openat, AT_FDCWD, PATH, O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0);
    if (file < 0)
        return;
    if (KERNEL(SYS_fstat, file, &state, 0, 0) == 0 && state.st_size > (off_t)sizeof *shared) {
        long found = kernel(SYS_mmap, 0, state.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        struct log *log = (struct log *)found;
        if (found > 0 && log->format == FORMAT && log->capacity == (uint64_t)state.st_size - sizeof *log) {
            if (atomic_fetch_add(&log->begun, 1) == 0)
                driver = 'a' - 'A';
            shared = log;
        }
    }
    KERNEL(SYS_close, file, 0, 0, 0);
}

/* FNV-1a, 64 bits. */
static uint64_t mixed(uint64_t hash, const char *text, size_t length)
{
    for (size_t at = 0; at < length; at++)
        hash = (hash ^ (unsigned char)text[at]) * 0x100000001b3u;
    return hash;
}

uint64_t hash_of(const char *text) { return mixed(0xcbf29ce484222325u, text, length_of(text)); }

void disregard(const char *path)
{
    const uint32_t at = atomic_fetch_add(&disregards, 1);
    atomic_store_explicit(&disregarded[at % DISREGARDED], hash_of(path), memory_order_relaxed);
}

static int is_disregarded(const char *text)
{
    if (atomic_load_explicit(&disregards, memory_order_relaxed) == 0)
        return 0;
    const uint64_t hash = hash_of(text);
    for (size_t at = 0; at < DISREGARDED; at++)
        if (atomic_load_explicit(&disregarded[at], memory_order_relaxed) == hash)
            return 1;
    return 0;
}

/* Of the job's temporary files. A path that leads out of their directory again is a question like any other. */
static int is_temporary(const char *text)
{
    for (const char *start = TEMPORARY; *start != '\0'; text++, start++)
        if (*text != *start)
            return 0;
    if (*text != '\0' && *text != '/')
        return 0;
    for (; *text != '\0'; text++)
        if (text[0] == '/' && text[1] == '.')
            return 0;
    return 1;
}

static char *copied(char *to, const char *text, size_t length)
{
    for (size_t at = 0; at < length; at++)
        to[at] = text[at];
    return to + length;
}

static void write_down(const char *head, size_t size, const char *text)
{
    struct log *log = shared;
    const size_t length = length_of(text);
    const uint64_t hash = mixed(mixed(0xcbf29ce484222325u, head, size), text, length);
    if (atomic_load_explicit(&remembered[hash % REMEMBERED], memory_order_relaxed) == hash)
        return;
    const uint64_t whole = size + length + 1;
    const uint64_t at = length > LONGEST ? log->capacity : atomic_fetch_add(&log->taken, whole);
    if (at > log->capacity || whole > log->capacity - at) {
        atomic_store(&log->overflow, 1);
        return;
    }
    copied(copied((char *)(log + 1) + at, head, size), text, length + 1);
    atomic_fetch_add(&log->finished, whole);
    atomic_store_explicit(&remembered[hash % REMEMBERED], hash, memory_order_relaxed);
}

void note_marked(enum kind kind, enum answer answer, const char *mark, const char *text)
{
    char head[2 + MARK];
    begin();
    if (!shared || !text || is_temporary(text) || is_disregarded(text))
        return;
    head[0] = (char)((char)kind + driver);
    head[1] = (char)answer;
    if (mark)
        copied(head + 2, mark, MARK);
    write_down(head, mark ? sizeof head : 2, text);
}

void note(enum kind kind, enum answer answer, const char *text) { note_marked(kind, answer, NULL, text); }

void note_asker(enum kind kind, const char *what, const void *asker)
{
    begin();
    if (!shared)
        return;
    const char *program = asker_at(asker);
    const size_t size = length_of(what), length = length_of(program);
    char text[256];
    if (size + 1 + length + 1 > sizeof text)
        return note(UNKNOWN, PRESENT, what);
    char *end = copied(text, what, size);
    *end++ = ' ';
    copied(end, program, length + 1);
    note(kind, PRESENT, text);
}

enum kind kind_at(int at, const char *path, enum kind kind)
{
    return at == AT_FDCWD || (path && path[0] == '/') ? kind : UNKNOWN;
}

enum answer answer_of(long result, const struct stat *state)
{
    if (result < 0)
        return result == -ENOENT || result == -ENOTDIR ? ABSENT : REFUSED;
    switch (state->st_mode & S_IFMT) {
    case S_IFREG:
        return REGULAR;
    case S_IFDIR:
        return FOLDER;
    case S_IFLNK:
        return SYMLINK;
    default:
        return SPECIAL;
    }
}

enum answer look(int at, const char *path, int flags)
{
    struct stat state;
    return answer_of(KERNEL(SYS_newfstatat, at, path, &state, flags), &state);
}

void count_started(int change)
{
    begin();
    if (shared)
        atomic_fetch_add(&shared->started, (uint32_t)change);
}
