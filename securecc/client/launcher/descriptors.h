/* File descriptors. */
#ifndef SECURECC_DESCRIPTORS_H
#define SECURECC_DESCRIPTORS_H

#include <stdbool.h>
#include <stddef.h>

/* A compiler's descriptors 0 to 2 may be closed: ours must never take their numbers. */
void occupy_standard(void);

/* Writes all of it, even to a non-blocking descriptor. False: errno says why. */
bool write_all(int fd, const void *data, size_t size);

/* Closes `first` and all above it. */
void close_from(unsigned first);

#endif
