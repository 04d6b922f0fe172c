#define _GNU_SOURCE
#include "agent/agent_connection.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/agent_socket.h"
#include "agent/agent_start.h"
#include "launcher_limits.h"

/* -1 with errno EAGAIN: an agent listens there, but does not accept. */
static int try_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = agent_patience()};
    struct ucred peer = {0};
    socklen_t size = sizeof peer;
    memcpy(address.sun_path, path, strlen(path) + 1); /* agent_socket() keeps to sun_path's size */
    int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection < 0)
        return -1;
    if (setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) == 0 &&
        setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
        connect(connection, (const struct sockaddr *)&address, sizeof address) == 0 &&
        getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == getuid())
        return connection;
    int error = errno;
    close(connection);
    errno = error;
    return -1;
}

static int start_and_connect(const char *path, const char **why)
{
    int lock = agent_start_lock(path);
    if (lock < 0) {
        *why = "another launcher is still starting the agent";
        return -1;
    }
    int connection = try_connect(path);
    if (connection < 0 && !agent_given_up(path)) {
        if (agent_start(path))
            connection = try_connect(path);
        if (connection < 0)
            agent_give_up(path);
    }
    close(lock);
    *why = "the agent does not start (securecctl doctor says why)";
    return connection;
}

int agent_connect(const char **why)
{
    const char *path = agent_socket(why);
    if (path == NULL)
        return -1;
    if (agent_given_up(path)) {
        *why = "the agent failed a moment ago";
        return -1;
    }
    int connection = try_connect(path);
    if (connection >= 0)
        return connection;
    if (errno != EAGAIN)
        return start_and_connect(path, why);
    agent_give_up(path);
    *why = "the agent is silent";
    return -1;
}
