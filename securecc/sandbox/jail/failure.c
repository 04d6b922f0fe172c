#include "failure.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

_Noreturn void fail(const char *doing, const char *what, int error)
{
    const char *why = error != 0 ? strerror(error) : "not valid";
    const char *words[] = {SECURECC_PROGRAM, ": cannot ", doing, " ", what, ": ", why, "\n"};
    struct iovec parts[sizeof words / sizeof *words];
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        parts[i] = (struct iovec){.iov_base = (void *)(uintptr_t)words[i], .iov_len = strlen(words[i])};
    if (writev(STDERR_FILENO, parts, sizeof words / sizeof *words) < 0)
        _exit(2);
    _exit(1);
}

void must(long result, const char *doing, const char *what)
{
    if (result < 0)
        fail(doing, what, errno);
}
