#include "compiler/recursion.h"

#include <stdio.h>
#include <stdlib.h>

#include "report.h"

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
