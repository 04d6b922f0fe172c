#include "compiler/search.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Programs that pose as compilers and look for the real one themselves; another copy of ours is one. */
static const char *const stand_ins[] = {"buildcache", "ccache", "distcc", "icecc", "sccache", "securecc"};

static bool is_ourselves(const char *path)
{
    struct stat own, other;
    return stat("/proc/self/exe", &own) == 0 && stat(path, &other) == 0 && own.st_dev == other.st_dev &&
           own.st_ino == other.st_ino;
}

static bool is_stand_in(const char *path)
{
    char real[PATH_MAX];
    if (realpath(path, real) == NULL)
        return false;
    for (size_t i = 0; i < sizeof stand_ins / sizeof *stand_ins; i++)
        if (strcmp(strrchr(real, '/') + 1, stand_ins[i]) == 0)
            return true;
    return false;
}

static bool is_program(const char *path, bool *passed_ourselves)
{
    struct stat status;
    if (access(path, X_OK) != 0 || stat(path, &status) != 0 || !S_ISREG(status.st_mode))
        return false;
    if (!is_ourselves(path))
        return true;
    *passed_ourselves = true;
    return false;
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

/* The name in the next directory of a PATH; false if it is too long. *at advances, to NULL after the last one. */
static bool next_path(const char **at, const char *name, char *path)
{
    int size = (int)strcspn(*at, ":");
    int written = snprintf(path, PATH_MAX, "%.*s%s%s", size, *at, size > 0 ? "/" : "./", name);
    *at = (*at)[size] == 0 ? NULL : *at + size + 1;
    return written < PATH_MAX;
}

/* The directories after the one where we are found under this name; all of them if we are in none. */
static const char *behind_ourselves(const char *name, const char *directories)
{
    char path[PATH_MAX];
    for (const char *at = directories; at != NULL;)
        if (next_path(&at, name, path) && is_ourselves(path))
            return at;
    return directories;
}

static char *search(const char *name, const char *directories, bool *passed_ourselves)
{
    char path[PATH_MAX];
    while (directories != NULL) {
        if (!next_path(&directories, name, path) || !is_program(path, passed_ourselves))
            continue;
        if (!is_stand_in(path))
            return absolute(path);
        *passed_ourselves = true;
    }
    return NULL;
}

char *compiler_find(const char *name, bool masquerade, bool *passed_ourselves)
{
    const char *slash = strrchr(name, '/');
    const char *directories = getenv("PATH");
    *passed_ourselves = masquerade;
    if (directories == NULL)
        directories = "/usr/local/bin:/usr/bin:/bin";
    if (slash != NULL) {
        if (is_program(name, passed_ourselves))
            return absolute(name);
        if (!*passed_ourselves)
            return NULL;
        name = slash + 1;
        masquerade = true;
    }
    return search(name, masquerade ? behind_ourselves(name, directories) : directories, passed_ourselves);
}

