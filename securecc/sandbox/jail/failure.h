/* What both programs say when they cannot go on. */
#ifndef SECURECC_FAILURE_H
#define SECURECC_FAILURE_H

extern const char *const name; /* the program's own, before each word of it */

/* One line on standard error, "NAME: cannot DOING WHAT: why", and exit status 1. `error` is an errno, 0 for none. */
_Noreturn void fail(const char *doing, const char *what, int error);

/* Fails with errno where a system call did. */
void must(long result, const char *doing, const char *what);

#endif
