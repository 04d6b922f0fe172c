#include "number.h"

#include <errno.h>
#include <stdlib.h>

#include "failure.h"

enum { HIGHEST_DESCRIPTOR = 1 << 20 /* fs.nr_open of Linux, unless raised */ };

unsigned long long read_number(const char **text)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(*text, &end, 10);
    if (**text < '0' || **text > '9' || errno != 0 || (*end != ' ' && *end != '\0'))
        fail("read the number", *text, errno);
    *text = *end == ' ' ? end + 1 : end;
    return value;
}

int read_descriptor(const char **text)
{
    const char *start = *text;
    unsigned long long value = read_number(text);
    if (value > HIGHEST_DESCRIPTOR)
        fail("use the descriptor", start, 0);
    return (int)value;
}
