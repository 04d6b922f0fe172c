/* What is replaced gets a temporary file beside it and a rename. Seen of gcc 12 and binutils 2.40: the assembler
 * unlinks what is neither empty nor special, a link included, and makes it anew; clang 14 does so with what is empty
 * or a link to nowhere as well; all other writers truncate what is there, through links. A file that would be
 * truncated keeps its mode; what cannot be replaced unseen (a device, a FIFO, a link, a file with two names) is written
 * in place once everything is here.
 */
#define _GNU_SOURCE
#include "compiler/outputs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "descriptors.h"
#include "launcher_limits.h"

struct output {
    char *target;
    char *temporary; /* NULL: written in place at the end, from memory */
    uint64_t size, written;
    int fd;
};

static struct output outputs[OUTPUTS_MAX];
static volatile sig_atomic_t count;

/* How the target must be written. */
enum way { ANEW, KEEPING_MODE, IN_PLACE, NO_WAY };

static enum way way_of(const char *target, enum keep keep, mode_t *mode)
{
    struct stat link, file;
    if (lstat(target, &link) != 0)
        return errno == ENOENT ? ANEW : NO_WAY;
    if (stat(target, &file) != 0)
        return keep == KEEP_NOTHING ? ANEW : IN_PLACE; /* a link to nowhere: others make the file that it names */
    bool anew = keep == KEEP_NOTHING || (keep == KEEP_IF_EMPTY && file.st_size != 0);
    if (anew && (S_ISREG(link.st_mode) || S_ISLNK(link.st_mode)))
        return ANEW;
    *mode = link.st_mode & 07777;
    return S_ISREG(link.st_mode) && link.st_nlink == 1 && link.st_uid == geteuid() ? KEEPING_MODE : IN_PLACE;
}

static char *temporary_name(const char *target)
{
    char path[PATH_MAX];
    struct timespec now;
    const char *slash = strrchr(target, '/');
    int folder = slash == NULL ? 0 : (int)(slash - target) + 1;
    clock_gettime(CLOCK_REALTIME, &now);
    int size = snprintf(path, sizeof path, "%.*s.securecc-%ld-%ld-%d", folder, target, (long)getpid(),
                        (long)now.tv_nsec, (int)count);
    return size < (int)sizeof path ? strdup(path) : NULL;
}

static bool failed(int *error)
{
    *error = errno;
    outputs_discard();
    return false;
}

static int open_temporary(struct output *output, enum way way, mode_t mode)
{
    if (way == IN_PLACE)
        return memfd_create("securecc", MFD_CLOEXEC);
    if (way == KEEPING_MODE && access(output->target, W_OK) != 0)
        return -1;
    int fd = open(output->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd >= 0 && way == KEEPING_MODE && fchmod(fd, mode) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

bool outputs_add(const char *target, uint64_t size, enum keep keep, int *error)
{
    mode_t mode = 0;
    if (count == OUTPUTS_MAX) {
        errno = E2BIG;
        return failed(error);
    }
    enum way way = way_of(target, keep, &mode);
    struct output *output = &outputs[count];
    if (way == NO_WAY)
        return failed(error);
    *output = (struct output){.target = strdup(target), .size = size, .fd = -1};
    if (way != IN_PLACE)
        output->temporary = temporary_name(target);
    if (output->target == NULL || (way != IN_PLACE && output->temporary == NULL)) {
        errno = ENAMETOOLONG;
        return failed(error);
    }
    atomic_signal_fence(memory_order_seq_cst); /* a signal from here on finds the name */
    count++;
    output->fd = open_temporary(output, way, mode);
    return output->fd >= 0 || failed(error);
}

const char *outputs_last(void)
{
    return count > 0 ? outputs[count - 1].target : "";
}

bool outputs_write(const void *data, size_t size, int *error)
{
    struct output *output = count > 0 ? &outputs[count - 1] : NULL;
    if (output == NULL || size > output->size - output->written) {
        errno = EPROTO;
        return failed(error);
    }
    output->written += size;
    return write_all(output->fd, data, size) || failed(error);
}

static bool write_in_place(const struct output *output)
{
    static unsigned char piece[65536];
    int fd = open(output->target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    bool good = fd >= 0 && lseek(output->fd, 0, SEEK_SET) == 0;
    for (ssize_t got; good && (got = read(output->fd, piece, sizeof piece)) != 0;)
        good = got > 0 && write_all(fd, piece, (size_t)got);
    return fd >= 0 && close(fd) == 0 && good;
}

static bool settle(struct output *output)
{
    if (output->temporary == NULL)
        return write_in_place(output);
    int fd = output->fd;
    output->fd = -1;
    return close(fd) == 0; /* some file systems report a full disk only now */
}

bool outputs_commit(int *error, const char **target)
{
    for (int i = 0; i < count; i++) {
        *target = outputs[i].target;
        if (outputs[i].written != outputs[i].size) {
            errno = EPROTO;
            return failed(error);
        }
    }
    for (int i = 0; i < count; i++) {
        *target = outputs[i].target;
        if (!settle(&outputs[i]))
            return failed(error);
    }
    for (int i = 0; i < count; i++) {
        *target = outputs[i].target;
        if (outputs[i].temporary != NULL && rename(outputs[i].temporary, *target) != 0)
            return failed(error);
        outputs[i].temporary = NULL;
    }
    outputs_discard();
    return true;
}

void outputs_discard(void)
{
    int before = errno;
    for (int i = 0; i < count; i++) {
        if (outputs[i].temporary != NULL)
            unlink(outputs[i].temporary);
        if (outputs[i].fd >= 0)
            close(outputs[i].fd);
    }
    count = 0;
    errno = before;
}
