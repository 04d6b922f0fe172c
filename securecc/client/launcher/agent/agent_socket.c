/* securecc/client/ipc/agent_socket.py computes the same path. */
#include "agent/agent_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "launcher_limits.h"

enum { NAME_SIZE = sizeof "/agent-1-0123456789abcdef.sock" };

static bool is_private(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == getuid() &&
           (status.st_mode & 0777) == 0700;
}

/* FNV-1a: a name, not a secret. */
static uint64_t mixed(uint64_t hash, const char *text)
{
    for (; *text != 0; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
    return hash;
}

/* Groups and capabilities decide which files may be read: an agent must have those of whom it reads for. */
static bool rights(uint64_t *hash)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {{0}};
    char text[80];
    int count = getgroups(0, NULL);
    gid_t *groups = count < 0 ? NULL : calloc((size_t)count + 1, sizeof *groups);
    if (groups == NULL || (count = getgroups(count, groups)) < 0 || syscall(SYS_capget, &header, sets) != 0) {
        free(groups);
        return false;
    }
    snprintf(text, sizeof text, "%08" PRIx32 "%08" PRIx32 " %ju", sets[1].effective, sets[0].effective,
             (uintmax_t)getegid());
    *hash = mixed(*hash, text);
    for (int i = 0; i < count; i++) {
        snprintf(text, sizeof text, ",%ju", (uintmax_t)groups[i]);
        *hash = mixed(*hash, text);
    }
    free(groups);
    return true;
}

/* Other files at the same paths, other rights, or another Kerberos configuration: another world, and an agent of its
 * own. */
static bool world(uint64_t *hash)
{
    struct stat mounts, root;
    char text[80];
    const char *kerberos = getenv("KRB5_CONFIG");
    if (stat("/proc/self/ns/mnt", &mounts) != 0 || stat("/", &root) != 0)
        return false;
    snprintf(text, sizeof text, "%ju %ju %ju ", (uintmax_t)mounts.st_ino, (uintmax_t)root.st_dev,
             (uintmax_t)root.st_ino);
    *hash = mixed(0xcbf29ce484222325u, text);
    if (!rights(hash))
        return false;
    *hash = mixed(mixed(*hash, " "), kerberos == NULL ? "" : kerberos);
    return true;
}

static bool folder(char *path, size_t room)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    if (runtime != NULL && runtime[0] == '/' && strlen(runtime) + sizeof "/securecc" <= room && is_private(runtime))
        snprintf(path, room, "%s/securecc", runtime);
    else
        snprintf(path, room, "/tmp/securecc-%ju", (uintmax_t)getuid());
    if (is_private(path))
        return true;
    return (mkdir(path, 0700) == 0 || errno == EEXIST) && is_private(path); /* another launcher may be first */
}

const char *agent_socket(const char **why)
{
    static char path[sizeof((struct sockaddr_un *)0)->sun_path];
    char name[NAME_SIZE];
    uint64_t hash;
    if (!world(&hash)) {
        *why = "/proc does not show this process's mount namespace, or the kernel its rights";
        return NULL;
    }
    if (!folder(path, sizeof path - NAME_SIZE)) {
        *why = "the folder for the agent's socket is not ours alone (owner, mode 0700, no link)";
        return NULL;
    }
    snprintf(name, sizeof name, "/agent-%d-%016" PRIx64 ".sock", PROTOCOL_VERSION, hash);
    strcat(path, name); /* folder() left room for it */
    return path;
}

/* The mark of a recent failure is beside the socket. */
static void mark_path(const char *socket_path, char *path, size_t room)
{
    snprintf(path, room, "%s.failed", socket_path);
}

bool agent_given_up(const char *socket_path)
{
    char path[PATH_MAX];
    struct stat status;
    struct timespec now;
    mark_path(socket_path, path, sizeof path);
    if (lstat(path, &status) != 0 || clock_gettime(CLOCK_REALTIME, &now) != 0)
        return false;
    return status.st_mtime <= now.tv_sec && now.tv_sec - status.st_mtime < GIVEN_UP_S;
}

static bool given_up_here_first;

bool agent_given_up_here_first(void)
{
    return given_up_here_first;
}

void agent_give_up(const char *socket_path)
{
    char path[PATH_MAX];
    mark_path(socket_path, path, sizeof path);
    int mark = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (mark >= 0 || errno != EEXIST) {
        given_up_here_first = true;
    } else {
        mark = open(path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (mark >= 0)
            flock(mark, LOCK_EX); /* of many that find an old mark at the same moment, one is the first */
        if (!agent_given_up(socket_path))
            given_up_here_first = true;
    }
    if (mark < 0)
        return;
    futimens(mark, NULL);
    close(mark);
}
