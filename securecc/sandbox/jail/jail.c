/* securecc-jail ROOT DIRECTORY FILTER NUMBERS PROGRAM ARGUMENTS...
 *
 * Runs PROGRAM in namespaces of its own, with ROOT and what is mounted below it as its whole world. What may stand in
 * an argument is given by its place alone: a stranger's words are never options. FILTER is a file of system call rules
 * (seccomp(2)); where it is empty there is none, and a network namespace is made. NUMBERS are the parent's pid, the
 * umask, whether there is a control group (a directory's descriptor, 4), how many Landlock rulesets there are (on the
 * descriptors from there on), and three for each resource limit (setrlimit(2)): which, soft, hard.
 *
 * Three processes: this one, outside, which a parent waits for and has made a session's leader; the init of the new
 * pid namespace; and PROGRAM, its child. The parent's death ends this one, whose death ends the init, whose death ends
 * all that is inside. On descriptor 3 comes one `struct outcome` when PROGRAM has ended; nothing comes if it never
 * began, or was killed from outside. What went wrong before it began is on standard error.
 */
#define _GNU_SOURCE
#include "failure.h"
#include "number.h"
#include "restriction.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STATUS = 3, FURTHER = 4 /* descriptors from there on */, MOST_RULESETS = 2, LIMITS = 16 };

struct outcome {
    int32_t status;  /* as from wait(2) */
    uint32_t memory; /* KiB: the most that one of its processes used */
};

struct limit {
    int which;
    struct rlimit value;
};

struct sandbox {
    const char *root;
    const char *directory;
    const char *filter;
    char **program;
    pid_t parent;
    mode_t umask;
    bool group;
    unsigned int rulesets;
    size_t limits;
    struct limit limit[LIMITS];
};

static struct sandbox read_arguments(int count, char **words)
{
    if (count < 6)
        fail("read", "the arguments", 0);
    struct sandbox sandbox = {.root = words[1], .directory = words[2], .filter = words[3], .program = words + 5};
    const char *text = words[4];
    sandbox.parent = (pid_t)read_number(&text);
    sandbox.umask = (mode_t)read_number(&text);
    sandbox.group = read_number(&text) != 0;
    sandbox.rulesets = (unsigned int)read_number(&text);
    if (sandbox.rulesets > MOST_RULESETS)
        fail("read", "the number of rulesets", 0);
    while (*text != '\0') {
        if (sandbox.limits == LIMITS)
            fail("read the number", text, 0);
        struct limit *limit = &sandbox.limit[sandbox.limits++];
        limit->which = (int)read_number(&text);
        limit->value.rlim_cur = read_number(&text);
        limit->value.rlim_max = read_number(&text);
    }
    return sandbox;
}

static void write_file(const char *path, const char *text)
{
    int file = open(path, O_WRONLY | O_CLOEXEC);
    must(file, "open", path);
    must(write(file, text, strlen(text)), "write", path);
    close(file);
}

/* Maps the ids to themselves. Nothing inside can make another user namespace, nor allow it again once this /proc is out
 * of reach. */
static void map_users(uid_t user, gid_t group)
{
    char line[64];
    write_file("/proc/self/setgroups", "deny");
    snprintf(line, sizeof line, "%u %u 1", user, user);
    write_file("/proc/self/uid_map", line);
    snprintf(line, sizeof line, "%u %u 1", group, group);
    write_file("/proc/self/gid_map", line);
    write_file("/proc/sys/user/max_user_namespaces", "0");
}

/* The mounts that a new namespace of users inherits are locked in their places: what is to be the root must be mounted
 * once more. The old root then lies over the new one, and goes (pivot_root(2)). */
static void change_root(const struct sandbox *sandbox)
{
    must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "make private", "/");
    must(mount(sandbox->root, sandbox->root, NULL, MS_BIND | MS_REC, NULL), "mount", sandbox->root);
    must(chdir(sandbox->root), "enter", sandbox->root);
    must(syscall(SYS_pivot_root, ".", "."), "make the root", sandbox->root);
    must(umount2(".", MNT_DETACH), "let go of", "the old root");
    must(chdir("/"), "enter", "/");
    must(chdir(sandbox->directory), "enter", sandbox->directory);
}

static void set_limits(const struct sandbox *sandbox)
{
    for (size_t i = 0; i < sandbox->limits; i++) {
        const struct limit *limit = &sandbox->limit[i];
        struct rlimit now, next = limit->value;
        must(prlimit(0, limit->which, NULL, &now), "read", "a resource limit");
        next.rlim_max = next.rlim_max < now.rlim_max ? next.rlim_max : now.rlim_max;
        next.rlim_cur = next.rlim_cur < next.rlim_max ? next.rlim_cur : next.rlim_max;
        must(prlimit(0, limit->which, &next, NULL), "set", "a resource limit");
    }
}

static void drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
    for (unsigned long which = 0; which <= 63; which++)
        if (prctl(PR_CAPBSET_DROP, which, 0UL, 0UL, 0UL) != 0) {
            if (errno != EINVAL || which == 0) /* EINVAL: the kernel has no more of them */
                fail("drop", "a capability", errno);
            break;
        }
    must(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0UL, 0UL, 0UL), "drop", "ambient capabilities");
    must(syscall(SYS_capset, &header, none), "drop", "the capabilities");
}

/* The parent may have died before this process asked to be told: then the pipe's other end is closed. A process closes
 * its descriptors before it tells its children that it dies. */
static void die_with(int pipe)
{
    char byte;
    must(prctl(PR_SET_PDEATHSIG, SIGKILL, 0UL, 0UL, 0UL), "bind", "the init");
    if (read(pipe, &byte, 1) == 0)
        _exit(1);
    close(pipe);
}

/* The init's memory is shared until PROGRAM begins, so that the reason can be left there. */
static void run(const struct sandbox *sandbox)
{
    static volatile int reason;
    struct outcome outcome = {0};
    struct rusage usage;
    int status;
    pid_t child = vfork(), ended;
    if (child == 0) {
        setsid();
        execvp(sandbox->program[0], sandbox->program);
        reason = errno;
        _exit(1);
    }
    must(child, "start", sandbox->program[0]);
    if (reason != 0)
        fail("run", sandbox->program[0], reason);
    while ((ended = wait4(-1, &status, 0, &usage)) != child)
        if (ended < 0 && errno != EINTR)
            fail("wait for", sandbox->program[0], errno);
    outcome.status = status;
    outcome.memory = (uint32_t)usage.ru_maxrss;
    _exit(write(STATUS, &outcome, sizeof outcome) != sizeof outcome);
}

static _Noreturn void be_init(const struct sandbox *sandbox, int pipe, uid_t user, gid_t group)
{
    const int first = FURTHER + sandbox->group, rulesets[MOST_RULESETS] = {first, first + 1};
    static struct filter filter;
    die_with(pipe);
    map_users(user, group);
    if (*sandbox->filter != '\0') {
        int file = open(sandbox->filter, O_RDONLY | O_CLOEXEC);
        must(file, "open", sandbox->filter);
        read_filter(&filter, file, sandbox->filter);
    }
    change_root(sandbox);
    set_limits(sandbox);
    drop_capabilities();
    must(prctl(PR_SET_DUMPABLE, 0UL, 0UL, 0UL, 0UL), "close", "the init to tracing");
    must(fcntl(STATUS, F_SETFD, FD_CLOEXEC), "keep", "the status");
    if (sandbox->group)
        close(FURTHER);
    restrict_files(rulesets, sandbox->rulesets);
    install_filter(&filter);
    run(sandbox);
    _exit(1);
}

static pid_t clone_apart(const struct sandbox *sandbox)
{
    struct clone_args wanted = {.exit_signal = SIGCHLD};
    wanted.flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
    if (*sandbox->filter == '\0')
        wanted.flags |= CLONE_NEWNET;
    if (sandbox->group) {
        wanted.flags |= CLONE_INTO_CGROUP;
        wanted.cgroup = FURTHER;
    }
    long made = syscall(SYS_clone3, &wanted, sizeof wanted);
    if (made < 0 && errno == EINVAL) { /* a kernel without control groups */
        wanted.flags &= ~(__u64)CLONE_NEWCGROUP;
        made = syscall(SYS_clone3, &wanted, sizeof wanted);
    }
    must(made, "make", "namespaces");
    return (pid_t)made;
}

int main(int count, char **words)
{
    int ends[2], status = 0;
    const struct sandbox sandbox = read_arguments(count, words);
    const uid_t user = getuid();
    const gid_t group = getgid();
    must(prctl(PR_SET_PDEATHSIG, SIGKILL, 0UL, 0UL, 0UL), "bind", "the jail");
    if (getppid() != sandbox.parent)
        fail("stay without", "the parent", ESRCH);
    must(prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL), "forgo", "new privileges");
    must(syscall(SYS_close_range, FURTHER + sandbox.group + sandbox.rulesets, ~0U, 0), "close", "what was inherited");
    umask(sandbox.umask & 0777);
    must(pipe2(ends, O_CLOEXEC | O_NONBLOCK), "make", "a pipe");
    pid_t init = clone_apart(&sandbox);
    if (init == 0) {
        close(ends[1]);
        be_init(&sandbox, ends[0], user, group);
    }
    while (waitpid(init, &status, 0) < 0)
        if (errno != EINTR)
            fail("wait for", "the init", errno);
    if (WIFSIGNALED(status))
        kill(getpid(), SIGKILL);
    return WEXITSTATUS(status);
}
