/* The real compiler: never ourselves under another name. */
#ifndef SECURECC_SEARCH_H
#define SECURECC_SEARCH_H

#include <stdbool.h>

/* The absolute path; for a masquerade, the next one of this name in PATH. NULL: not found. */
char *compiler_find(const char *name, bool masquerade, bool *passed_ourselves);

#endif
