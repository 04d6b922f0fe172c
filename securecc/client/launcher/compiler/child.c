#define _GNU_SOURCE
#include "compiler/child.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "report.h"

extern char **environ;

static volatile pid_t running;        /* 0: none */
static volatile sig_atomic_t grouped; /* it leads its own process group */
static bool ran; /* by child_run() */
static int last_status;

bool child_signal(int number)
{
    if (running <= 0)
        return false;
    kill(grouped ? -running : running, number);
    return true;
}

int child_wait(void)
{
    int status = 0;
    while (waitpid(running, &status, 0) < 0 && errno == EINTR)
        continue;
    running = 0;
    return status;
}

void child_kill(void)
{
    if (child_signal(SIGKILL))
        child_wait();
}

bool child_last_status(int *status)
{
    *status = last_status;
    return ran;
}

/* `NAME=` of `entry` is in `set`. */
static bool overridden(const char *entry, char **set)
{
    size_t name = strcspn(entry, "=") + 1;
    for (; *set != NULL; set++)
        if (strncmp(entry, *set, name) == 0)
            return true;
    return false;
}

static char **environment_with(char **set)
{
    size_t count = 0, kept = 0;
    while (environ[count] != NULL)
        count++;
    size_t more = 0;
    while (set[more] != NULL)
        more++;
    char **list = calloc(count + more + 1, sizeof *list);
    if (list == NULL)
        out_of_memory();
    for (size_t i = 0; i < count; i++)
        if (!overridden(environ[i], set))
            list[kept++] = environ[i];
    memcpy(list + kept, set, more * sizeof *list);
    return list;
}

/* Signals are blocked meanwhile, so that the handler knows of every child. */
int child_start(char **arguments, char **set, const posix_spawn_file_actions_t *actions, bool group)
{
    posix_spawnattr_t attributes;
    sigset_t all, before;
    pid_t child = 0;
    char **environment = environment_with(set);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &before);
    posix_spawnattr_setflags(&attributes, (short)(POSIX_SPAWN_SETSIGMASK | (group ? POSIX_SPAWN_SETPGROUP : 0)));
    int error = posix_spawn(&child, arguments[0], actions, &attributes, arguments, environment);
    running = error == 0 ? child : 0;
    grouped = group;
    sigprocmask(SIG_SETMASK, &before, NULL);
    posix_spawnattr_destroy(&attributes);
    free(environment);
    return error;
}

int child_run(char **arguments, char **set, int *wait_status)
{
    int failure = child_start(arguments, set, NULL, false);
    if (failure != 0)
        return failure;
    *wait_status = last_status = child_wait();
    ran = true;
    return 0;
}
