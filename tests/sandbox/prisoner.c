/* A program that looks at the jail it is in, without /proc; its first argument says how it ends. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;

static volatile char room[32 << 20];

static void say(const char *what, long result)
{
    printf("%s=%s\n", what, result < 0 ? strerrorname_np(errno) : "ok");
}

static void capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct held[2] = {{0}};
    int bounding = 0, ambient = 0;
    syscall(SYS_capget, &header, held);
    for (unsigned long which = 0; which < 64; which++) {
        bounding += prctl(PR_CAPBSET_READ, which, 0, 0, 0) == 1;
        ambient += prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, which, 0, 0) == 1;
    }
    printf("capabilities=%x %x %x %x %x %x %d %d\n", held[0].effective, held[1].effective, held[0].permitted,
           held[1].permitted, held[0].inheritable, held[1].inheritable, bounding, ambient);
}

static void forbidden(void)
{
    static const int kinds[] = {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS};
    static const char *names[] = {"user", "mount", "pid", "net", "ipc", "uts"};
    for (int i = 0; i < 6; i++)
        say(names[i], unshare(kinds[i]));
    say("clone-user", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
    say("tmpfs", mount("none", "/", "tmpfs", 0, 0));
    say("remount", mount("none", "/", 0, MS_REMOUNT | MS_BIND, 0));
    say("umount", umount2("/", MNT_DETACH));
    say("chroot", chroot("/"));
    say("sethostname", sethostname("x", 1));
    say("ptrace-init", ptrace(PTRACE_ATTACH, 1, 0, 0));
    long init = syscall(SYS_pidfd_open, 1, 0);
    say("setns-init", init < 0 ? -1 : setns((int)init, CLONE_NEWNS | CLONE_NEWUSER));
    say("descriptor-of-init", init < 0 ? -1 : syscall(SYS_pidfd_getfd, init, 3, 0));
    if (init >= 0)
        close((int)init);
    say("kill-all", kill(-1, SIGKILL));
    say("kill-init", kill(1, SIGKILL)); /* said to be ok, and of no effect: an init is deaf to its own */
    say("device", mknod("/zero", S_IFCHR | 0666, 0x105));
}

static void connect_to(int port)
{
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    say("connect", fd < 0 ? -1 : connect(fd, (struct sockaddr *)&there, sizeof there));
    close(fd);
}

static void look(int port)
{
    static const int kinds[] = {RLIMIT_AS, RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_NPROC, RLIMIT_CORE, RLIMIT_NOFILE};
    struct stat root, above;
    for (int i = 0; i < 6; i++) {
        struct rlimit limit;
        getrlimit((__rlimit_resource_t)kinds[i], &limit);
        printf("limit%d=%lu %lu\n", kinds[i], (unsigned long)limit.rlim_cur, (unsigned long)limit.rlim_max);
    }
    for (int i = 0; i < 4096; i++)
        if (fcntl(i, F_GETFD) >= 0)
            printf("descriptor%d=open\n", i);
    stat("/", &root);
    stat("/../..", &above);
    printf("above=%s\n", root.st_ino == above.st_ino && root.st_dev == above.st_dev ? "nothing" : "something");
    printf("cwd=%s\n", getcwd((char[4096]){0}, 4096));
    printf("ids=%d %d %d %d\n", getpid(), getppid(), getsid(0), getpgid(0));
    printf("umask=%o\n", umask(0));
    printf("no-new-privs=%d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    printf("ignored=%d\n", signal(SIGPIPE, SIG_DFL) == SIG_IGN || signal(SIGINT, SIG_DFL) == SIG_IGN);
    capabilities();
    connect_to(port);
    forbidden();
    for (char **e = environ; *e; e++)
        printf("env %s\n", *e);
}

static int forks(void)
{
    int count = 0;
    for (;;) {
        int child = fork();
        if (child < 0)
            break;
        if (child == 0)
            for (;;)
                pause();
        count++;
    }
    printf("forks=%d %s\n", count, strerrorname_np(errno));
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 0;
    if (!strcmp(argv[1], "look"))
        look(atoi(argv[2]));
    else if (!strcmp(argv[1], "words"))
        for (int i = 2; i < argc; i++)
            printf("[%s]", argv[i]);
    else if (!strcmp(argv[1], "length"))
        printf("%zu", strlen(getenv(argv[2])));
    else if (!strcmp(argv[1], "exit"))
        return atoi(argv[2]);
    else if (!strcmp(argv[1], "raise"))
        raise(atoi(argv[2]));
    else if (!strcmp(argv[1], "fork"))
        return forks();
    else if (!strcmp(argv[1], "memory"))
        for (size_t i = 0; i < sizeof room; i += 512)
            room[i] = 1;
    else if (!strcmp(argv[1], "orphan") && fork() == 0) {
        setsid();
        if (fork() == 0)
            for (;;)
                pause();
    } else if (!strcmp(argv[1], "sleep")) {
        if (fork() == 0)
            setsid();
        for (;;)
            pause();
    }
    return 0;
}
