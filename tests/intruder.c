/* A compiler that means harm: each word makes it try one thing, and it prints how far it got. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

extern char **environ;

static void say(const char *what, int result)
{
    printf("%s=%s\n", what, result < 0 ? strerrorname_np(errno) : "ok");
}

static int do_open(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0644);
    if (fd >= 0)
        close(fd);
    return fd;
}

static void bombs(const char *word, const char *path)
{
    if (!strcmp(word, "fork")) {
        int n = 0, child;
        while ((child = fork()) > 0)
            n++;
        if (child == 0)
            for (;;)
                pause();
        printf("%d %s\n", n, strerrorname_np(errno));
    } else if (!strcmp(word, "memory")) {
        size_t mib = 0;
        char *block;
        while ((block = malloc(1 << 20))) {
            memset(block, 1, 1 << 20);
            mib++;
        }
        printf("%zu\n", mib);
    } else if (!strcmp(word, "manymemory")) {
        for (int i = 0; i < 8; i++)
            if (fork() == 0) {
                char *block = malloc(60 << 20);
                memset(block, 1, 60 << 20);
                for (;;)
                    pause();
            }
        for (;;)
            pause();
    } else if (!strcmp(word, "spin")) {
        for (int i = 0; i < 2; i++)
            if (fork() == 0)
                setsid();
        for (;;)
            ;
    } else if (!strcmp(word, "loop")) {
        for (;;)
            ;
    } else if (!strcmp(word, "sleep")) {
        if (fork() == 0)
            setsid();
        for (;;)
            pause();
    } else if (!strcmp(word, "orphan")) {
        if (fork() == 0) {
            setsid();
            if (fork() == 0)
                for (;;)
                    pause();
        }
    } else if (!strcmp(word, "chatter")) {
        static char line[65536];
        memset(line, 'x', sizeof line);
        for (;;)
            if (write(2, line, sizeof line) < 0)
                pause();
    } else if (!strcmp(word, "fill")) {
        static char block[1 << 20];
        int fd = open(path, O_WRONLY | O_CREAT, 0644);
        signal(SIGXFSZ, SIG_DFL);
        while (write(fd, block, sizeof block) > 0)
            ;
        say("fill", -1);
    } else if (!strcmp(word, "names")) {
        char name[64];
        long n = 0;
        do
            snprintf(name, sizeof name, "n%ld", n++);
        while (do_open(name, O_WRONLY | O_CREAT) >= 0);
        printf("%ld %s\n", n - 1, strerrorname_np(errno));
    }
}

static int reach(int family, const char *whom)
{
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons(atoi(whom))};
    struct sockaddr_un named = {.sun_family = AF_UNIX};
    int fd = socket(family, SOCK_STREAM, 0), result = -1;
    if (fd < 0)
        return -1;
    there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    strncpy(named.sun_path + 1, whom, sizeof named.sun_path - 2);
    if (family == AF_INET)
        result = connect(fd, (struct sockaddr *)&there, sizeof there);
    else
        result = connect(fd, (struct sockaddr *)&named, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(whom));
    close(fd);
    return result;
}

/* What has to do with others: a process by its pid, a port, a name. */
static int harm(const char *word, char *whom)
{
    char stolen[] = "../stolen";
    if (!strcmp(word, "kill"))
        return kill(atoi(whom), 0);
    if (!strcmp(word, "trace"))
        return ptrace(PTRACE_ATTACH, atoi(whom), 0, 0);
    if (!strcmp(word, "tcp"))
        return reach(AF_INET, whom);
    if (!strcmp(word, "abstract"))
        return reach(AF_UNIX, whom);
    if (!strcmp(word, "truncate"))
        return truncate(whom, 0);
    if (!strcmp(word, "move"))
        return rename(whom, stolen);
    if (!strcmp(word, "grow"))
        return truncate(whom, 100L << 20);
    if (!strcmp(word, "scribble")) {
        char block[4096];
        int fd = open(whom, O_WRONLY), result = fd;
        memset(block, 'x', sizeof block);
        for (int i = 0; i < 1024 && result >= 0; i++)
            result = (int)write(fd, block, sizeof block);
        return result;
    }
    if (!strcmp(word, "ask")) { /* so many questions, of 1 KB each */
        char name[1000];
        for (int i = atoi(whom); i > 0; i--) {
            snprintf(name, sizeof name, "/q%0*d", (int)sizeof name - 6, i);
            access(name, F_OK);
        }
        return 0;
    }
    if (!strcmp(word, "list")) {
        int fd = open(whom, O_RDONLY | O_DIRECTORY);
        return fd < 0 ? -1 : close(fd);
    }
    exit(3);
}

static void probes(int count, char **words)
{
    for (int i = 0; i + 1 < count; i += 2) {
        char *word = words[i], *path = words[i + 1];
        if (!strcmp(word, "read"))
            say(path, do_open(path, O_RDONLY));
        else if (!strcmp(word, "write"))
            say(path, do_open(path, O_WRONLY));
        else if (!strcmp(word, "create"))
            say(path, do_open(path, O_WRONLY | O_CREAT));
        else if (!strcmp(word, "mkdir"))
            say(path, mkdir(path, 0755));
        else if (!strcmp(word, "unlink"))
            say(path, unlink(path));
        else if (!strcmp(word, "chmod"))
            say(path, chmod(path, 0777));
        else if (!strcmp(word, "link"))
            say(path, link(path, "stolen"));
        else if (!strcmp(word, "append")) {
            int fd = open(path, O_WRONLY | O_APPEND);
            say(path, fd < 0 ? -1 : (int)write(fd, "!", 1));
        } else if (!strcmp(word, "exec")) {
            execl(path, path, (char *)0);
            say(path, -1);
        } else if (!strcmp(word, "fifo"))
            say(path, mkfifo(path, 0644));
        else if (!strcmp(word, "device"))
            say(path, mknod(path, S_IFCHR | 0666, 0x105));
        else if (!strcmp(word, "symlink"))
            say(path, symlink("/etc/passwd", path));
        else if (!strcmp(word, "swap")) { /* a directory becomes a symlink to elsewhere */
            char old[4096];
            snprintf(old, sizeof old, "%s.old", path);
            say(path, rename(path, old) < 0 ? -1 : symlink("/", path));
        } else
            say(path, harm(word, path));
        fflush(stdout);
    }
}

static void looks(int port)
{
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct winsize size = {0};
    there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    say("connect", fd < 0 ? -1 : connect(fd, (struct sockaddr *)&there, sizeof there));
    if (fd >= 0)
        close(fd);
    for (int i = 3; i < 4096; i++)
        if (fcntl(i, F_GETFD) >= 0)
            printf("descriptor=%d\n", i);
    say("unshare", unshare(CLONE_NEWUSER));
    say("mount", mount("none", "/tmp", "tmpfs", 0, 0));
    say("remount", mount("none", "/usr", 0, MS_REMOUNT | MS_BIND, 0));
    say("setuid", setuid(0));
    say("kill", kill(-1, 0));
    printf("pid=%d ppid=%d uid=%d\n", getpid(), getppid(), getuid());
    for (int i = 0; i < 3; i++)
        printf("tty%d=%d\n", i, isatty(i));
    if (ioctl(2, TIOCGWINSZ, &size) == 0)
        printf("size=%dx%d\n", size.ws_col, size.ws_row);
    for (char **e = environ; *e; e++)
        printf("env %s\n", *e);
}

/* A compile: the source says what to try. Its name is that of the output. */
static int compile(const char *source, const char *output)
{
    static char text[4096], *words[64];
    int file = open(source, O_RDONLY), count = 0;
    if (file < 0 || read(file, text, sizeof text - 1) < 0)
        return 1;
    for (char *word = strtok(text, " \n"); word && count < 64; word = strtok(NULL, " \n"))
        words[count++] = word;
    probes(count, words);
    return do_open(output, O_WRONLY | O_CREAT) < 0;
}

int main(int argc, char **argv)
{
    if (argc == 5 && !strcmp(argv[1], "-c"))
        return compile(argv[2], argv[4]);
    if (argc < 2 || argv[1][0] == '-')
        return 0;
    if (!strcmp(argv[1], "look"))
        looks(argc > 2 ? atoi(argv[2]) : 88);
    else if (!strcmp(argv[1], "speak"))
        fprintf(stderr, "one\ntwo\n");
    else if (!strcmp(argv[1], "raise"))
        raise(SIGSEGV);
    else if (!strcmp(argv[1], "bomb"))
        bombs(argv[2], argc > 3 ? argv[3] : "");
    else
        probes(argc - 1, argv + 1);
    return 0;
}
