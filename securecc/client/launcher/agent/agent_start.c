#define _GNU_SOURCE
#include "agent/agent_start.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "descriptors.h"
#include "launcher_limits.h"
#include "report.h"

extern char **environ;

enum { READY_FD = 3 };

unsigned agent_patience(void)
{
    const char *text = getenv("SECURECC_AGENT_TIMEOUT");
    unsigned long seconds = text == NULL ? 0 : strtoul(text, NULL, 10);
    return seconds > SILENCE_S && seconds <= SILENCE_MOST_S ? (unsigned)seconds : SILENCE_S;
}

/* The interpreter beside this binary: both belong to one installation. */
static bool interpreter(char *path, size_t room)
{
#ifdef SECURECC_AGENT_PYTHON
    return snprintf(path, room, "%s", SECURECC_AGENT_PYTHON) < (int)room;
#else
    static const char name[] = "python3";
    ssize_t size = readlink("/proc/self/exe", path, room - sizeof name);
    if (size <= 0 || (size_t)size >= room - sizeof name)
        return false;
    path[size] = 0;
    memcpy(strrchr(path, '/') + 1, name, sizeof name);
    return access(path, X_OK) == 0;
#endif
}

static bool is_for_agent(const char *entry)
{
    static const char *const prefixes[] = {"PATH=", "HOME=", "USER=", "KRB5_CONFIG=", "KRB5CCNAME=",
                                           "KRB5_CLIENT_KTNAME=", "XDG_", "SECURECC_"};
    if (strncmp(entry, "SECURECC_RECURSION=", 19) == 0)
        return false;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (strncmp(entry, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

static char **agent_environment(void)
{
    static char language[] = "LANG=C.UTF-8";
    size_t count = 0, kept = 0;
    while (environ[count] != NULL)
        count++;
    char **list = calloc(count + 2, sizeof *list);
    if (list == NULL)
        return NULL;
    list[kept++] = language;
    for (size_t i = 0; i < count; i++)
        if (is_for_agent(environ[i]))
            list[kept++] = environ[i];
    return list;
}

static void default_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The future agent: detaches it from the compile, make and the terminal. */
static _Noreturn void become_agent(const char *python, const char *socket_path, char **environment, int ready)
{
    char number[] = {'0' + READY_FD, 0};
    const char *const arguments[] = {python,      "-I",       "-m",         "securecc.client", "--socket",
                                     socket_path, "--ready-fd", number, NULL};
    int high = fcntl(ready, F_DUPFD, READY_FD + 1);
    int null = open("/dev/null", O_RDWR);
    if (high < 0 || null < 0 || chdir("/") != 0)
        _exit(1);
    for (int fd = 0; fd < READY_FD; fd++)
        if (dup2(null, fd) < 0)
            _exit(1);
    if (dup2(high, READY_FD) < 0)
        _exit(1);
    close_from(READY_FD + 1);
    default_signals();
    umask(077);
    execve(python, (char *const *)(uintptr_t)arguments, environment);
    _exit(1);
}

static bool wait_ready(int pipe_end)
{
    struct pollfd watch = {.fd = pipe_end, .events = POLLIN};
    char byte;
    int seen;
    do
        seen = poll(&watch, 1, (int)agent_patience() * 1000);
    while (seen < 0 && errno == EINTR);
    return seen == 1 && read(pipe_end, &byte, 1) == 1;
}

bool agent_start(const char *socket_path)
{
    char python[PATH_MAX];
    char **environment = agent_environment();
    int ends[2];
    if (environment == NULL || !interpreter(python, sizeof python) || pipe2(ends, O_CLOEXEC) != 0)
        return false;
    say("starting an agent with", python);
    pid_t child = fork();
    if (child == 0) {
        /* Forked twice, so that it is orphaned and can never get a controlling terminal. */
        if (setsid() < 0 || (child = fork()) != 0)
            _exit(child < 0);
        become_agent(python, socket_path, environment, ends[1]);
    }
    close(ends[1]);
    free(environment);
    if (child > 0)
        waitpid(child, NULL, 0);
    bool ready = child > 0 && wait_ready(ends[0]);
    close(ends[0]);
    return ready;
}

static void woken(int number)
{
    (void)number;
}

/* A lock held by a stopped process must not stop the build. */
int agent_start_lock(const char *socket_path)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s.lock", socket_path);
    int lock = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (lock < 0)
        return -1;
    const struct sigaction wake = {.sa_handler = woken};
    struct sigaction before;
    sigaction(SIGALRM, &wake, &before);
    alarm(agent_patience() + 1);
    bool taken = flock(lock, LOCK_EX) == 0;
    alarm(0);
    sigaction(SIGALRM, &before, NULL);
    if (taken)
        return lock;
    close(lock);
    return -1;
}
