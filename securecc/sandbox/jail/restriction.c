#define _GNU_SOURCE
#include "restriction.h"

#include "failure.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_landlock_restrict_self
#define SYS_landlock_restrict_self 446
#endif

void read_filter(struct filter *filter, int file, const char *path)
{
    ssize_t got = pread(file, filter->rules, sizeof filter->rules, 0);
    must(got, "read", path);
    close(file);
    size_t count = (size_t)got / sizeof *filter->rules;
    if (count == 0 || count > RULES || (size_t)got % sizeof *filter->rules != 0)
        fail("use as a filter", path, EINVAL);
    filter->count = (unsigned short)count;
}

void restrict_files(const int *rulesets, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        must(syscall(SYS_landlock_restrict_self, rulesets[i], 0), "restrict", "files by Landlock");
        close(rulesets[i]);
    }
}

void install_filter(struct filter *filter)
{
    struct sock_fprog rules = {.len = filter->count, .filter = filter->rules};
    if (rules.len != 0)
        must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0UL, &rules), "install", "the filter of system calls");
}
