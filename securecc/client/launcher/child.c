/* Children of the launcher, and the signals that end it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launcher.h"

extern char **environ;

static volatile pid_t running;        /* 0: none */
static volatile sig_atomic_t grouped; /* it leads a process group of its own */
static bool ended;
static int ended_status;

static void pass_on(int number)
{
    if (running > 0)
        kill(grouped ? -running : running, number);
}

static int reap(void)
{
    int status = 0;
    while (waitpid(running, &status, 0) < 0 && errno == EINTR)
        continue;
    running = 0;
    return status;
}

void child_end(void)
{
    if (running > 0) {
        pass_on(SIGKILL);
        reap();
    }
}

bool child_last_status(int *status)
{
    *status = ended_status;
    return ended;
}

static void deadly(int number)
{
    outputs_discard();
    if (running > 0) {
        pass_on(number);
        reap(); /* the compiler removes what it was writing before it dies */
    }
    signal(number, SIG_DFL);
    raise(number); /* delivered when this handler returns */
}

void signals_watch(void)
{
    static const int numbers[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGXFSZ, SIGXCPU};
    static bool watched;
    struct sigaction before, watch = {.sa_handler = deadly};
    if (watched)
        return;
    watched = true;
    sigfillset(&watch.sa_mask);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN) /* nohup stays in force */
            sigaction(numbers[i], &watch, NULL);
}

_Noreturn void die_by(int signal_number)
{
    const struct rlimit none = {0, 0};
    sigset_t one;
    outputs_discard();
    setrlimit(RLIMIT_CORE, &none); /* the core would be ours, not the compiler's */
    signal(signal_number, SIG_DFL);
    sigemptyset(&one);
    sigaddset(&one, signal_number);
    sigprocmask(SIG_UNBLOCK, &one, NULL);
    raise(signal_number);
    _exit(128 + signal_number);
}

_Noreturn void end_as(int wait_status)
{
    if (WIFSIGNALED(wait_status))
        die_by(WTERMSIG(wait_status));
    outputs_discard();
    _exit(WEXITSTATUS(wait_status));
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

/* Returns 0 or an errno. Blocked meanwhile: signals, so that the handler knows of every child. */
static int spawn(char **arguments, char **set, const posix_spawn_file_actions_t *actions, bool group)
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

static bool report(int connection, unsigned kind, uint32_t value, const char *extra, size_t size)
{
    struct packet packet;
    packet_open(&packet, kind);
    packet_u32(&packet, value);
    packet_bytes(&packet, extra, size);
    return packet_send(&packet, connection);
}

static bool report_failure(int connection, int error, const char *path)
{
    struct packet packet;
    packet_open(&packet, 0x06);
    packet_u32(&packet, (uint32_t)error);
    packet_string(&packet, path);
    return packet_send(&packet, connection);
}

/* One readable pipe: its bytes go to the agent. False: the agent is gone. */
static bool pump(int connection, struct pollfd *from, unsigned char stream, size_t *total)
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
    struct packet packet;
    packet_open(&packet, 0x02);
    packet_bytes(&packet, &stream, 1);
    packet_bytes(&packet, data, (size_t)got);
    return packet_send(&packet, connection);
}

/* Until both pipes are at their end. Of the connection only its end is of interest: orders wait. */
static bool pump_all(int connection, int output, int errors, bool *truncated)
{
    struct pollfd watch[] = {{.fd = output, .events = POLLIN},
                             {.fd = errors, .events = POLLIN},
                             {.fd = connection, .events = POLLRDHUP}};
    size_t total = 0;
    bool there = true;
    while (there && !*truncated && (watch[0].fd >= 0 || watch[1].fd >= 0)) {
        if (poll(watch, 3, -1) < 0)
            continue;
        for (unsigned char i = 0; i < 2 && there; i++)
            if (watch[i].fd >= 0 && watch[i].revents != 0)
                there = pump(connection, &watch[i], (unsigned char)(i + 1), &total);
        there = there && watch[2].revents == 0;
        *truncated = total > CAPTURE_MAX;
    }
    if (!there || *truncated)
        pass_on(SIGKILL); /* before the pipes close: it is not to see that as an error and say so */
    for (unsigned i = 0; i < 2; i++)
        if (watch[i].fd >= 0)
            close(watch[i].fd);
    return there;
}

bool child_capture(int connection, char **arguments, char **environment, bool errors)
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
    signals_watch();
    int failure = spawn(arguments, environment, &actions, true);
    posix_spawn_file_actions_destroy(&actions);
    close(output[1]);
    if (errors)
        close(error[1]);
    bool truncated = false;
    bool there = pump_all(connection, output[0], error[0], &truncated);
    if (failure != 0)
        return there && report_failure(connection, failure, arguments[0]);
    const char flag = truncated;
    int status = reap();
    return there && report(connection, 0x03, (uint32_t)status, &flag, 1);
}

bool child_spawn(int connection, char **arguments, char **environment)
{
    signals_watch();
    input_restore();
    int failure = spawn(arguments, environment, NULL, false);
    if (failure != 0)
        return report_failure(connection, failure, arguments[0]);
    ended_status = reap();
    ended = true;
    return report(connection, 0x04, (uint32_t)ended_status, NULL, 0);
}
