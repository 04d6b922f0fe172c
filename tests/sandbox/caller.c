/* Calls a function of libc's and prints what it says: the same with and without a witness. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;
enum { UNKNOWN = INT_MIN };

static int failed(void)
{
    printf("%s\n", strerrorname_np(errno));
    return 1;
}

static int number(long result) { return result < 0 ? failed() : printf("%ld\n", result); }
static int done(int result) { return number(result); }
static int text(const char *result) { return result ? printf("%s\n", result) : failed(); }

static int file(int result)
{
    struct stat state;
    char content[64] = "";
    if (result < 0)
        return failed();
    fstat(result, &state);
    if (pread(result, content, sizeof content - 1, 0) < 0)
        strcpy(content, strerrorname_np(errno));
    return printf("%o %ld %s flags %x close %x\n", state.st_mode, (long)state.st_size, content,
                  fcntl(result, F_GETFL) & ~O_LARGEFILE, fcntl(result, F_GETFD));
}

static int stream(FILE *result)
{
    if (!result)
        return failed();
    fputs("new", result);
    fflush(result);
    return file(fileno(result));
}

static int state(int result, const struct stat *state)
{
    if (result < 0)
        return failed();
    return printf("%o %ld\n", state->st_mode, S_ISDIR(state->st_mode) ? 0 : (long)state->st_size);
}

static int extended(int result, const struct statx *state)
{
    return result < 0 ? failed() : printf("%o\n", state->stx_mode);
}

static int target(ssize_t size, const char *name) { return size < 0 ? failed() : printf("%.*s\n", (int)size, name); }

static int by_name(const void *one, const void *other) { return strcmp(*(char *const *)one, *(char *const *)other); }

static int names(DIR *directory)
{
    char *found[64];
    int count = 0;
    if (!directory)
        return failed();
    for (struct dirent *entry; count < 64 && (entry = readdir(directory));)
        found[count++] = strdup(entry->d_name);
    qsort(found, (size_t)count, sizeof *found, by_name);
    for (int at = 0; at < count; at++)
        printf("%s%s", found[at], at + 1 < count ? " " : "\n");
    return closedir(directory);
}

/* A name that was made up: of its own letters nothing is shown. */
static int made(int result, char *name, size_t suffix)
{
    struct stat state = {0};
    size_t size = strlen(name);
    if (result < 0)
        return failed();
    stat(name, &state);
    memset(name + size - suffix - 6, '.', 6);
    return printf("%s %o flags %x\n", name, state.st_mode, result > 0 ? fcntl(result, F_GETFL) & ~O_LARGEFILE : 0);
}

static int visited;
static int visit(const char *path, const struct stat *state, int type, struct FTW *where)
{
    (void)path, (void)state, (void)type, (void)where;
    visited++;
    return 0;
}

static int globbed(int result, const glob_t *found)
{
    return printf("%d %zu %s\n", result, found->gl_pathc, found->gl_pathc ? found->gl_pathv[0] : "");
}

/* A program that another process runs, to its end. */
static int waited(int wrong, pid_t process)
{
    int status = 0;
    if (wrong)
        return printf("%s\n", strerrorname_np(wrong));
    waitpid(process, &status, 0);
    return printf("ended with %x\n", status);
}

static int sane(int result) { return printf("%s\n", result ? "as it should be" : "wrong"); }

static int called(const char *word, char *name)
{
    char buffer[PATH_MAX] = "", *words[] = {name, "one", "two", NULL};
    struct stat about = {0};
    struct statx more = {0};
    struct dirent **list;
    struct utsname system_;
    struct timeval now;
    struct timespec moment;
    glob_t found = {0};
    pid_t process = 0;
    time_t when = 86400, then = 0;
    int here = open("inc", O_RDONLY | O_DIRECTORY);
#define CALL(label, result)                                                                                            \
    if (!strcmp(word, label))                                                                                          \
        return result
    CALL("open", file(open(name, O_RDONLY)));
    CALL("open-write", file(open(name, O_RDWR)));
    CALL("open-create", file(open(name, O_RDWR | O_CREAT, 0640)));
    CALL("open-truncate", file(open(name, O_RDWR | O_CREAT | O_TRUNC, 0640)));
    CALL("open-new", file(open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)));
    CALL("open-nofollow", file(open(name, O_RDONLY | O_NOFOLLOW)));
    CALL("open-directory", file(open(name, O_RDONLY | O_DIRECTORY)));
    CALL("open64", file(open64(name, O_RDONLY)));
    CALL("openat", file(openat(AT_FDCWD, name, O_RDONLY)));
    CALL("openat-there", file(openat(here, name, O_RDONLY)));
    CALL("creat", file(creat(name, 0600)));
    CALL("fopen-r", stream(fopen(name, "r")));
    CALL("fopen-r+", stream(fopen(name, "r+")));
    CALL("fopen-rb", stream(fopen(name, "rb")));
    CALL("fopen-re", stream(fopen(name, "re")));
    CALL("fopen-w", stream(fopen(name, "w")));
    CALL("fopen-w+", stream(fopen(name, "w+")));
    CALL("fopen-wx", stream(fopen(name, "wx")));
    CALL("fopen-a", stream(fopen(name, "a")));
    CALL("fopen-a+", stream(fopen(name, "a+")));
    CALL("fopen-charset", stream(fopen(name, "r,ccs=UTF-8")));
    CALL("fopen-nonsense", stream(fopen(name, "q")));
    CALL("fopen64", stream(fopen64(name, "r")));
    CALL("freopen-r", stream(freopen(name, "r", stdin)));
    CALL("freopen-w+", stream(freopen(name, "w+", stdin)));
    CALL("freopen-nonsense", stream(freopen(name, "q", stdin)));
    CALL("freopen-same", stream(freopen(NULL, "r", stdin)));
    CALL("stat", state(stat(name, &about), &about));
    CALL("lstat", state(lstat(name, &about), &about));
    CALL("fstatat", state(fstatat(AT_FDCWD, name, &about, 0), &about));
    CALL("fstatat-nofollow", state(fstatat(AT_FDCWD, name, &about, AT_SYMLINK_NOFOLLOW), &about));
    CALL("fstatat-there", state(fstatat(here, name, &about, 0), &about));
    CALL("fstatat-itself", state(fstatat(here, "", &about, AT_EMPTY_PATH), &about));
    CALL("statx", extended(statx(AT_FDCWD, name, 0, STATX_BASIC_STATS, &more), &more));
    CALL("statx-nofollow", extended(statx(AT_FDCWD, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &more), &more));
    CALL("access", done(access(name, F_OK)));
    CALL("access-r", done(access(name, R_OK)));
    CALL("access-x", done(access(name, X_OK)));
    CALL("access-nonsense", done(access(name, 64)));
    CALL("eaccess-r", done(eaccess(name, R_OK)));
    CALL("faccessat-nofollow", done(faccessat(AT_FDCWD, name, F_OK, AT_SYMLINK_NOFOLLOW)));
    CALL("faccessat-there", done(faccessat(here, name, R_OK, 0)));
    CALL("rename", done(rename(name, "renamed")));
    CALL("renameat", done(renameat(AT_FDCWD, name, AT_FDCWD, "renamed")));
    CALL("readlink", target(readlink(name, buffer, sizeof buffer), buffer));
    CALL("readlink-short", target(readlink(name, buffer, 2), buffer));
    CALL("readlinkat", target(readlinkat(AT_FDCWD, name, buffer, sizeof buffer), buffer));
    CALL("realpath", text(realpath(name, buffer)));
    CALL("realpath-new", text(realpath(name, NULL)));
    CALL("canonicalize_file_name", text(canonicalize_file_name(name)));
    CALL("opendir", names(opendir(name)));
    CALL("fdopendir", names(fdopendir(open(name, O_RDONLY | O_DIRECTORY))));
    CALL("scandir", number(scandir(name, &list, NULL, alphasort)));
    CALL("scandir64", number(scandir64(name, (void *)&list, NULL, NULL)));
    CALL("glob", globbed(glob(name, 0, NULL, &found), &found));
    CALL("glob64", globbed(glob64(name, 0, NULL, (void *)&found), &found));
    CALL("nftw", done(nftw(name, visit, 4, FTW_PHYS) ? -1 : visited));
    CALL("chdir", done(chdir(name)) && text(getcwd(buffer, sizeof buffer)));
    CALL("fchdir", done(fchdir(here)) && text(getcwd(buffer, sizeof buffer)));
    CALL("mkstemp", made(mkstemp(name), name, 0));
    CALL("mkostemp", made(mkostemp(name, O_APPEND | O_CLOEXEC), name, 0));
    CALL("mkstemps", made(mkstemps(name, 2), name, 2));
    CALL("mkstemps-nonsense", made(mkstemps(name, 200), name, 2));
    CALL("mkdtemp", made(mkdtemp(name) ? 0 : -1, name, 0));
    CALL("getenv", text(getenv(name)));
    CALL("secure_getenv", text(secure_getenv(name)));
    CALL("time", sane(time(&then) == then && then > 1000000000));
    CALL("gettimeofday", sane(!gettimeofday(&now, NULL) && now.tv_sec > 1000000000));
    CALL("clock_gettime", sane(!clock_gettime(CLOCK_REALTIME, &moment) && moment.tv_sec > 1000000000));
    CALL("clock_gettime-monotonic", sane(!clock_gettime(CLOCK_MONOTONIC, &moment)));
    CALL("clock_gettime-nonsense", done(clock_gettime(9999, &moment)));
    CALL("localtime", text(asctime(localtime(&when))));
    CALL("localtime_r", text(asctime(localtime_r(&when, &(struct tm){0}))));
    CALL("ctime", text(ctime(&when)));
    CALL("uname", uname(&system_) ? failed() : text(system_.nodename));
    CALL("gethostname", gethostname(buffer, sizeof buffer) ? failed() : text(buffer));
    CALL("gethostname-short", done(gethostname(buffer, 1)));
    CALL("getpid", sane(getpid() > 1));
    CALL("getuid", number(getuid()));
    CALL("sysconf", number(sysconf(_SC_NPROCESSORS_ONLN)));
    CALL("sysconf-page", number(sysconf(_SC_PAGESIZE)));
    CALL("sysconf-nonsense", number(sysconf(9999)));
    CALL("getrandom", number(getrandom(buffer, 16, 0)));
    CALL("getentropy", done(getentropy(buffer, 16)));
    CALL("execv", done(execv(name, words)));
    CALL("execve", done(execve(name, words, environ)));
    CALL("execvp", done(execvp(name, words)));
    CALL("execvpe", done(execvpe(name, words, environ)));
    CALL("execl", done(execl(name, name, "one", NULL)));
    CALL("execlp", done(execlp(name, name, "one", NULL)));
    CALL("posix_spawn", waited(posix_spawn(&process, name, NULL, NULL, words, environ), process));
    CALL("posix_spawnp", waited(posix_spawnp(&process, name, NULL, NULL, words, environ), process));
    CALL("system", number(system(name)));
    CALL("popen", number(pclose(popen(name, "r"))));
    return UNKNOWN;
}

int main(int argc, char **argv) { return argc == 3 && called(argv[1], argv[2]) != UNKNOWN ? 0 : 99; }
