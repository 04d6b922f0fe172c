/* What a program says when it cannot go on; SECURECC_PROGRAM, which the build defines, is its name. */
#ifndef SECURECC_FAILURE_H
#define SECURECC_FAILURE_H

/* One line on standard error, "NAME: cannot DOING WHAT: why", and exit status 1. `error` is an errno, 0 for none. */
_Noreturn void fail(const char *doing, const char *what, int error);

/* Fails with errno where a system call did. */
void must(long result, const char *doing, const char *what);

#endif
