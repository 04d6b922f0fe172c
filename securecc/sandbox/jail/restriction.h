/* What a process gives up for good, and for all that it starts: files by Landlock, system calls by a filter. */
#ifndef SECURECC_RESTRICTION_H
#define SECURECC_RESTRICTION_H

#include <linux/filter.h>
#include <stddef.h>

enum { RULES = 4096 /* BPF_MAXINSNS of Linux */ };

struct filter {
    struct sock_filter rules[RULES + 1];
    unsigned short count; /* 0: there is none */
};

/* A file of rules (struct sock_filter), which is closed; `path` is what it is called if it is none. */
void read_filter(struct filter *filter, int file, const char *path);

/* What all of these rulesets allow, and no more (landlock_restrict_self(2)); they are closed. */
void restrict_files(const int *rulesets, size_t count);

/* From now on (seccomp(2)); nothing if there is no filter. */
void install_filter(struct filter *filter);

#endif
