#define _GNU_SOURCE
#include "compiler/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include "agent/replies.h"
#include "compiler/child.h"
#include "launcher_limits.h"

/* One readable pipe: its bytes go to the agent. False: the agent is gone. */
static bool pump(int connection, struct pollfd *from, enum stream stream, size_t *total)
{
    static char data[65536];
    ssize_t got = read(from->fd, data, sizeof data);
    if (got < 0 && errno == EINTR)
        return true;
    if (got <= 0) {
        close(from->fd);
        from->fd = -1; /* poll(2) skips it */
        return true;
    }
    *total += (size_t)got;
    return reply_captured(connection, stream, data, (size_t)got);
}

/* Until both pipes have ended. The connection is watched only for its end: commands wait. */
static bool pump_all(int connection, int output, int errors, bool *truncated)
{
    static const enum stream streams[] = {STREAM_OUTPUT, STREAM_ERROR};
    struct pollfd watch[] = {{.fd = output, .events = POLLIN},
                             {.fd = errors, .events = POLLIN},
                             {.fd = connection, .events = POLLRDHUP}};
    size_t total = 0;
    bool there = true;
    while (there && !*truncated && (watch[0].fd >= 0 || watch[1].fd >= 0)) {
        if (poll(watch, 3, -1) < 0)
            continue;
        for (unsigned i = 0; i < 2 && there; i++)
            if (watch[i].fd >= 0 && watch[i].revents != 0)
                there = pump(connection, &watch[i], streams[i], &total);
        there = there && watch[2].revents == 0;
        *truncated = total > CAPTURE_MAX;
    }
    if (!there || *truncated)
        child_signal(SIGKILL); /* before the pipes close: the child must not see that as an error and report it */
    for (unsigned i = 0; i < 2; i++)
        if (watch[i].fd >= 0)
            close(watch[i].fd);
    return there;
}

bool capture(int connection, char **arguments, char **environment, bool errors)
{
    int output[2], error[2] = {-1, -1};
    if (pipe2(output, O_CLOEXEC) != 0 || (errors && pipe2(error, O_CLOEXEC) != 0))
        return false; /* out of descriptors: no agent needed to compile */
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output[1], 1);
    if (errors)
        posix_spawn_file_actions_adddup2(&actions, error[1], 2);
    else
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    int failure = child_start(arguments, environment, &actions, true);
    posix_spawn_file_actions_destroy(&actions);
    close(output[1]);
    if (errors)
        close(error[1]);
    bool truncated = false;
    bool there = pump_all(connection, output[0], error[0], &truncated);
    if (failure != 0)
        return there && reply_failed(connection, failure, arguments[0]);
    int status = child_wait();
    return there && reply_capture_done(connection, (uint32_t)status, truncated);
}
