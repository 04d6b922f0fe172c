/* What a program says when it cannot continue; SECURECC_PROGRAM, defined by the build, is its name. */
#ifndef SECURECC_FAILURE_H
#define SECURECC_FAILURE_H

/* One line on standard error, "NAME: cannot DOING WHAT: why", and exit status 1. `error` is an errno, 0 for none. */
_Noreturn void fail(const char *doing, const char *what, int error);

/* The same with errno, after a failed system call. */
void must(long result, const char *doing, const char *what);

#endif
