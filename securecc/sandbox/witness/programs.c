/* Programs that a program starts. Each is counted, so that one without a witness is noticed. */
#define _GNU_SOURCE
#include "kernel.h"
#include "libc.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MOST_ARGUMENTS = 4096 /* of execl(3) */ };

static char **inherited(void) { return &environ ? environ : NULL; }

/* Returns only on failure, with the kernel's error. */
static long execute(const char *path, char *const *arguments, char *const *variables)
{
    const enum answer found = look(AT_FDCWD, path, 0);
    note(NAME, found, path);
    if (found != ABSENT)
        note(PROGRAM, PRESENT, path);
    count_started(1);
    const long wrong = KERNEL(SYS_execve, path, arguments, variables, 0);
    count_started(-1);
    return wrong;
}

static size_t joined(char *whole, const char *directory, size_t size, const char *file)
{
    const size_t length = length_of(file);
    size_t at = 0;
    if (size + length + 2 > PATH_MAX)
        return 0;
    for (; at < size; at++)
        whole[at] = directory[at];
    if (size)
        whole[at++] = '/';
    for (size_t next = 0; next <= length; next++)
        whole[at + next] = file[next];
    return at + length;
}

/* What the kernel does not know how to run is a script for the shell. */
static long execute_any(const char *path, char *const *arguments, char *const *variables)
{
    char *list[MOST_ARGUMENTS] = {"/bin/sh", (char *)path};
    const long wrong = execute(path, arguments, variables);
    if (wrong != -ENOEXEC)
        return wrong;
    for (size_t at = 1; arguments[0] && arguments[at]; at++) {
        if (at + 2 == MOST_ARGUMENTS)
            return -E2BIG;
        list[at + 1] = arguments[at];
    }
    return execute(list[0], list, variables);
}

/* execvp(3), "Special semantics for execlp(), execvp(), and execvpe()". */
static long execute_found(const char *file, char *const *arguments, char *const *variables)
{
    const char *path = value_of("PATH"), *each = path ? path : "/bin:/usr/bin";
    long wrong = -ENOENT;
    if (file[0] == '\0')
        return wrong;
    for (const char *letter = file; *letter != '\0'; letter++)
        if (*letter == '/')
            return execute_any(file, arguments, variables);
    note(VARIABLE, path ? PRESENT : ABSENT, "PATH");
    if (length_of(file) > NAME_MAX)
        return -ENAMETOOLONG;
    for (;;) {
        char whole[PATH_MAX];
        size_t size = 0;
        while (each[size] != '\0' && each[size] != ':')
            size++;
        const long tried = joined(whole, each, size, file) ? execute_any(whole, arguments, variables) : -ENOENT;
        if (tried == -EACCES)
            wrong = tried;
        else if (tried != -ENOENT && tried != -ENOTDIR)
            return tried;
        if (each[size] == '\0')
            return wrong;
        each += size + 1;
    }
}

EXPORTED int execve(const char *path, char *const arguments[], char *const variables[])
{
    return (int)returned(execute(path, arguments, variables));
}
EXPORTED int execv(const char *path, char *const arguments[])
{
    return (int)returned(execute(path, arguments, inherited()));
}
EXPORTED int execvp(const char *file, char *const arguments[])
{
    return (int)returned(execute_found(file, arguments, inherited()));
}
EXPORTED int execvpe(const char *file, char *const arguments[], char *const variables[])
{
    return (int)returned(execute_found(file, arguments, variables));
}

/* The variable arguments of execl(3) as an array. */
#define LISTED(first, list)                                                                                            \
    char *list[MOST_ARGUMENTS];                                                                                        \
    va_list rest;                                                                                                      \
    va_start(rest, first);                                                                                             \
    list[0] = (char *)(first);                                                                                         \
    for (size_t at = 1; list[at - 1]; at++)                                                                            \
        list[at] = at < MOST_ARGUMENTS - 1 ? va_arg(rest, char *) : NULL;                                              \
    va_end(rest);

EXPORTED int execl(const char *path, const char *first, ...)
{
    LISTED(first, list)
    return (int)returned(execute(path, list, inherited()));
}
EXPORTED int execlp(const char *file, const char *first, ...)
{
    LISTED(first, list)
    return (int)returned(execute_found(file, list, inherited()));
}

typedef int spawn(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, char *const[],
                  char *const[]);

static int spawned(const char *name, pid_t *process, const char *file, const posix_spawn_file_actions_t *actions,
                   const posix_spawnattr_t *attributes, char *const arguments[], char *const variables[])
{
    spawn *original = (spawn *)behind(name);
    if (!original)
        return ENOSYS;
    note(PROGRAM, PRESENT, file);
    count_started(1);
    const int wrong = original(process, file, actions, attributes, arguments, variables);
    if (wrong)
        count_started(-1);
    return wrong;
}

EXPORTED int posix_spawn(pid_t *process, const char *path, const posix_spawn_file_actions_t *actions,
                         const posix_spawnattr_t *attributes, char *const arguments[], char *const variables[])
{
    note(NAME, look(AT_FDCWD, path, 0), path);
    return spawned("posix_spawn", process, path, actions, attributes, arguments, variables);
}

/* Where it searches is not seen. */
EXPORTED int posix_spawnp(pid_t *process, const char *file, const posix_spawn_file_actions_t *actions,
                          const posix_spawnattr_t *attributes, char *const arguments[], char *const variables[])
{
    for (const char *letter = file;; letter++) {
        if (*letter == '/')
            break;
        if (*letter == '\0') {
            note(UNKNOWN, PRESENT, "posix_spawnp");
            break;
        }
    }
    return spawned("posix_spawnp", process, file, actions, attributes, arguments, variables);
}

EXPORTED int system(const char *command)
{
    int (*original)(const char *) = (int (*)(const char *))behind("system");
    note(UNKNOWN, PRESENT, "system");
    return original ? original(command) : -1;
}

EXPORTED FILE *popen(const char *command, const char *type)
{
    FILE *(*original)(const char *, const char *) = (FILE * (*)(const char *, const char *)) behind("popen");
    note(UNKNOWN, PRESENT, "popen");
    return original ? original(command, type) : NULL;
}
