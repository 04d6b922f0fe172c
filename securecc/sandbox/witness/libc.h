/* The little that must be the C library's own: errno, the environment, memory and streams that the compiler will give
 * back to it, and functions that no system call replaces. All by weak names, so that the witness loads without them. */
#ifndef SECURECC_WITNESS_LIBC_H
#define SECURECC_WITNESS_LIBC_H

#include <stddef.h>

#define EXPORTED __attribute__((visibility("default")))
#define WEAK __attribute__((weak))

extern char **environ WEAK;

/* A system call's result as the C library returns it: -1 and errno for a failure. */
long returned(long result);

/* The C library's function of this name, which the witness stands in front of; NULL if there is none. */
void *behind(const char *name);

/* Who asks: the name of the shared library that this address lies in, or that the running program was called by,
 * without directories. */
const char *asker_at(const void *address);

size_t length_of(const char *text);
int same(const char *text, const char *other);

/* The value of a variable, NULL if it is not set; not a question of the compiler's. */
const char *value_of(const char *variable);

#endif
