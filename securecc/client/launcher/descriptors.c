#define _GNU_SOURCE
#include "descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { HIGHEST = 65536 };

void occupy_standard(void)
{
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            open("/dev/null", O_RDONLY | O_CLOEXEC); /* nothing can be written to it */
}

bool write_all(int fd, const void *data, size_t size)
{
    const unsigned char *at = data;
    while (size > 0) {
        ssize_t written = write(fd, at, size);
        if (written > 0) {
            at += written;
            size -= (size_t)written;
        } else if (errno == EAGAIN) {
            poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

void close_from(unsigned first)
{
    if (syscall(SYS_close_range, first, ~0u, 0) == 0)
        return;
    long limit = sysconf(_SC_OPEN_MAX); /* before Linux 5.9 */
    for (int fd = (int)first; fd < (limit > 0 && limit < HIGHEST ? (int)limit : HIGHEST); fd++)
        close(fd);
}
