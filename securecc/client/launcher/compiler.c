/* The real compiler: never ourselves under another name. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launcher.h"

static bool is_program(const char *path, bool *passed_ourselves)
{
    struct stat own, other;
    if (access(path, X_OK) != 0 || stat(path, &other) != 0 || !S_ISREG(other.st_mode))
        return false;
    if (stat("/proc/self/exe", &own) == 0 && own.st_dev == other.st_dev && own.st_ino == other.st_ino) {
        *passed_ourselves = true;
        return false;
    }
    return true;
}

static char *absolute(const char *path)
{
    char full[PATH_MAX], cwd[PATH_MAX];
    if (path[0] == '/')
        return strdup(path);
    if (getcwd(cwd, sizeof cwd) == NULL || snprintf(full, sizeof full, "%s/%s", cwd, path) >= (int)sizeof full)
        return NULL;
    return strdup(full);
}

static char *search(const char *name, const char *directories, bool *passed_ourselves)
{
    char path[PATH_MAX];
    for (const char *at = directories;; at++) {
        int size = (int)strcspn(at, ":");
        int written = snprintf(path, sizeof path, "%.*s%s%s", size, at, size > 0 ? "/" : "./", name);
        if (written < (int)sizeof path && is_program(path, passed_ourselves))
            return absolute(path);
        at += size;
        if (*at == 0)
            return NULL;
    }
}

char *compiler_find(const char *name, bool *passed_ourselves)
{
    const char *slash = strrchr(name, '/');
    const char *directories = getenv("PATH");
    *passed_ourselves = false;
    if (slash != NULL) {
        if (is_program(name, passed_ourselves))
            return absolute(name);
        if (!*passed_ourselves)
            return NULL;
        name = slash + 1;
    }
    return search(name, directories == NULL ? "/usr/local/bin:/usr/bin:/bin" : directories, passed_ourselves);
}

unsigned recursion_level(void)
{
    const char *level = getenv("SECURECC_RECURSION");
    return level == NULL ? 0 : (unsigned)strtoul(level, NULL, 10);
}

void recursion_deepen(void)
{
    char level[16];
    snprintf(level, sizeof level, "%u", recursion_level() + 1);
    if (setenv("SECURECC_RECURSION", level, 1) != 0)
        out_of_memory();
}
