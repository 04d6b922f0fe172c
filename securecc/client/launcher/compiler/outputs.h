/* The files of a result: all or nothing. False: *error is the errno, and no temporary is left. */
#ifndef SECURECC_OUTPUTS_H
#define SECURECC_OUTPUTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What happens to an existing file, as with the compiler that writes it. */
enum keep { KEEP_IF_EMPTY, KEEP, KEEP_NOTHING };

bool outputs_add(const char *target, uint64_t size, enum keep keep, int *error);
bool outputs_write(const void *data, size_t size, int *error); /* EPROTO: more than announced, or nothing announced */
bool outputs_commit(int *error, const char **target);
const char *outputs_last(void);
void outputs_discard(void); /* async-signal-safe */

#endif
