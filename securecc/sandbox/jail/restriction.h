/* What a process gives up for good, for itself and all that it starts: files by Landlock, system calls by a filter. */
#ifndef SECURECC_RESTRICTION_H
#define SECURECC_RESTRICTION_H

#include <linux/filter.h>
#include <stddef.h>

enum { RULES = 4096 /* BPF_MAXINSNS of Linux */ };

struct filter {
    struct sock_filter rules[RULES + 1];
    unsigned short count; /* 0: there is none */
};

/* Reads a file of rules (struct sock_filter) and closes it; `path` names it in errors. */
void read_filter(struct filter *filter, int file, const char *path);

/* Allows only what all of these rulesets allow (landlock_restrict_self(2)), and closes them. */
void restrict_files(const int *rulesets, size_t count);

/* Applies the filter from now on (seccomp(2)); does nothing if there is none. */
void install_filter(struct filter *filter);

#endif
