#define _GNU_SOURCE
#include "compiler/input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/replies.h"
#include "descriptors.h"
#include "exit_status.h"
#include "launcher_limits.h"
#include "report.h"

static int kept = -1; /* what was read so far */
static bool ended;    /* nothing comes after it */
static bool fed;

/* Neither a terminal nor a device, nor the rest of a file whose beginning has been read already. */
static bool is_plain(void)
{
    struct stat status;
    int flags = fcntl(0, F_GETFL);
    if (flags < 0 || (flags & O_NONBLOCK) != 0 || fstat(0, &status) != 0)
        return false;
    if (S_ISREG(status.st_mode))
        return lseek(0, 0, SEEK_CUR) == 0;
    return S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode);
}

bool input_read(int connection)
{
    static char data[65536];
    size_t total = 0;
    if (kept >= 0 || !is_plain() || (kept = memfd_create("input", MFD_CLOEXEC)) < 0)
        return reply_failed(connection, EINVAL, "");
    while (!ended && total <= INPUT_MAX) {
        struct pollfd watch[] = {{.fd = 0, .events = POLLIN}, {.fd = connection, .events = POLLRDHUP}};
        if (poll(watch, 2, -1) < 0)
            continue;
        if (watch[1].revents != 0)
            return false; /* no one waits for it */
        ssize_t got = read(0, data, sizeof data);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return reply_failed(connection, errno, "");
        ended = got == 0;
        total += (size_t)got;
        if (!write_all(kept, data, (size_t)got))
            out_of_memory();
        if (!ended && !reply_captured(connection, STREAM_INPUT, data, (size_t)got))
            return false;
    }
    return reply_capture_done(connection, 0, !ended);
}

/* What was read, then what follows, until no one reads it any more. */
static _Noreturn void feed(int to)
{
    static char data[65536];
    ssize_t got;
    for (off_t at = 0; (got = pread(kept, data, sizeof data, at)) > 0; at += got)
        if (!write_all(to, data, (size_t)got))
            _exit(0);
    for (;;) {
        struct pollfd watch[] = {{.fd = 0, .events = POLLIN}, {.fd = to}};
        if (poll(watch, 2, -1) < 0)
            continue;
        if (watch[1].revents != 0)
            _exit(0);
        got = read(0, data, sizeof data);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0 || !write_all(to, data, (size_t)got))
            _exit(0);
    }
}

/* By a process that is not a child of the compiler. */
static void begin_to_feed(void)
{
    int ends[2];
    pid_t child = pipe2(ends, O_CLOEXEC) == 0 ? fork() : -1;
    if (child < 0) {
        dprintf(2, "securecc: standard input was read and cannot be handed on\n");
        _exit(EXIT_IO_ERROR);
    }
    if (child == 0) {
        if (fork() != 0)
            _exit(0);
        kept = dup2(kept, 1); /* all else is closed: no one must wait for this process to end */
        const int to = dup2(ends[1], 2);
        close_from(3);
        feed(to);
    }
    waitpid(child, NULL, 0);
    dup2(ends[0], 0);
    fed = true;
}

void input_restore(void)
{
    if (kept < 0 || fed)
        return;
    if (!ended) {
        begin_to_feed();
        return;
    }
    lseek(kept, 0, SEEK_SET);
    dup2(kept, 0);
}
