/* Doing without the agent. */
#ifndef SECURECC_FALLBACK_H
#define SECURECC_FALLBACK_H

#include "compile.h"

/* The launcher becomes the compiler. */
_Noreturn void become_compiler(const struct compile *compile);

/* The same, saying why, unless it has been compiled here already; `status` is for SECURECC_FALLBACK=0. */
_Noreturn void compile_locally(const struct compile *compile, const char *why, int status);

#endif
