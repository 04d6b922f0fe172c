#include "report.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exit_status.h"

static void (*cleanups[REPORT_CLEANUPS])(void);
static size_t count;

static bool is_on(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && strcmp(value, "0") != 0 && value[0] != 0;
}

void say(const char *what, const char *which)
{
    if (is_on("SECURECC_VERBOSE"))
        dprintf(2, "securecc: %s%s%s\n", what, which[0] == 0 ? "" : " ", which);
}

void report_clean_up_by(void (*cleanup)(void))
{
    if (count < REPORT_CLEANUPS)
        cleanups[count++] = cleanup;
}

_Noreturn void out_of_memory(void)
{
    for (size_t i = 0; i < count; i++)
        cleanups[i]();
    dprintf(2, "securecc: out of memory\n");
    _exit(EXIT_OUT_OF_MEMORY);
}
