/* The environment. The witness itself is not to be seen in it. */
#define _GNU_SOURCE
#include "libc.h"
#include "log.h"

#include <stdlib.h>

#define OWN "LD_PRELOAD"

EXPORTED char *getenv(const char *name)
{
    size_t at = 0;
    while (OWN[at] != '\0' && name[at] == OWN[at])
        at++;
    if (OWN[at] == name[at])
        return NULL;
    const char *value = value_of(name);
    note(VARIABLE, value ? PRESENT : ABSENT, name);
    return (char *)value;
}

EXPORTED char *secure_getenv(const char *name) { return getenv(name); }
EXPORTED char *__secure_getenv(const char *name) { return getenv(name); }
