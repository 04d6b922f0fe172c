/* What directories contain, and the working directory. */
#define _GNU_SOURCE
#define _LARGEFILE64_SOURCE
#include "kernel.h"
#include "libc.h"
#include "log.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <stdint.h>
#include <unistd.h>

struct entry { /* getdents64(2) */
    uint64_t inode;
    int64_t next;
    uint16_t length;
    uint8_t type;
    char name[];
};

/* CRC-32 as in zlib: the reader's language computes it fast. */
static uint32_t checksum(const char *text, size_t length)
{
    uint32_t sum = ~0u;
    for (size_t at = 0; at < length; at++) {
        sum ^= (unsigned char)text[at];
        for (int bit = 0; bit < 8; bit++)
            sum = (sum >> 1) ^ (0xedb88320u & -(sum & 1));
    }
    return ~sum;
}

static int is_dots(const char *name) { return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2])); }

/* The names in any order: what is kept is their number and the sum of their checksums. */
static void note_names(const char *path, long directory)
{
    char room[4096] __attribute__((aligned(8)));
    uint64_t sum = 0, number = 0;
    long size;
    while ((size = KERNEL(SYS_getdents64, directory, room, sizeof room, 0)) > 0)
        for (long at = 0; at < size;) {
            const struct entry *entry = (const struct entry *)(room + at);
            if (!is_dots(entry->name)) {
                sum += checksum(entry->name, length_of(entry->name));
                number++;
            }
            at += entry->length;
        }
    KERNEL(SYS_lseek, directory, 0, SEEK_SET, 0);
    char mark[MARK];
    const uint64_t value = (number << 48) ^ (sum & 0xffffffffffffu);
    for (size_t at = 0; at < MARK; at++)
        mark[at] = "0123456789abcdef"[value >> (4 * (MARK - 1 - at)) & 15];
    note_marked(DIRECTORY, size < 0 ? REFUSED : FOLDER, mark, path);
}

static DIR *streamed(int directory)
{
    static DIR *(*original)(int);
    if (!original)
        original = (DIR * (*)(int)) behind("fdopendir");
    return original ? original(directory) : NULL;
}

/* Whose names are read is not known by path any more. */
EXPORTED DIR *fdopendir(int directory)
{
    note(UNKNOWN, PRESENT, "fdopendir");
    return streamed(directory);
}

EXPORTED DIR *opendir(const char *path)
{
    struct stat state;
    const long directory = KERNEL(SYS_openat, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    const long result = directory < 0 ? directory : KERNEL(SYS_fstat, directory, &state, 0, 0);
    note(NAME, directory < 0 ? look(AT_FDCWD, path, 0) : answer_of(result, &state), path);
    if (directory < 0)
        return returned(directory), NULL;
    note_names(path, directory);
    return streamed((int)directory);
}

/* These search by rules of their own, which a list of names does not tell. */
#define UNREPEATABLE(type, failed, name, parameters, arguments)                                                        \
    EXPORTED type name parameters                                                                                      \
    {                                                                                                                  \
        type(*original) parameters = behind(#name);                                                                    \
        note(UNKNOWN, PRESENT, #name);                                                                                 \
        return original ? original arguments : (failed);                                                               \
    }
#define SELECT int (*select)(const struct dirent *)
#define COMPARE int (*compare)(const struct dirent **, const struct dirent **)

UNREPEATABLE(int, -1, scandir, (const char *path, struct dirent ***found, SELECT, COMPARE),
             (path, found, select, compare))
UNREPEATABLE(int, GLOB_ABORTED, glob,
             (const char *pattern, int flags, int (*failed)(const char *, int), glob_t *found),
             (pattern, flags, failed, found))
UNREPEATABLE(int, -1, ftw, (const char *path, __ftw_func_t visit, int files), (path, visit, files))
UNREPEATABLE(int, -1, nftw, (const char *path, __nftw_func_t visit, int files, int flags), (path, visit, files, flags))

/* The same under the names that programs call which are built for large files. */
EXPORTED int scandir64(const char *, struct dirent64 ***, int (*)(const struct dirent64 *),
                       int (*)(const struct dirent64 **, const struct dirent64 **)) __attribute__((alias("scandir")));
EXPORTED int glob64(const char *, int, int (*)(const char *, int), glob64_t *) __attribute__((alias("glob")));
EXPORTED int ftw64(const char *, __ftw64_func_t, int) __attribute__((alias("ftw")));
EXPORTED int nftw64(const char *, __nftw64_func_t, int, int) __attribute__((alias("nftw")));

EXPORTED int chdir(const char *path)
{
    note(UNKNOWN, PRESENT, "chdir");
    return (int)returned(KERNEL(SYS_chdir, path, 0, 0, 0));
}

EXPORTED int fchdir(int directory)
{
    note(UNKNOWN, PRESENT, "fchdir");
    return (int)returned(KERNEL(SYS_fchdir, directory, 0, 0, 0));
}
