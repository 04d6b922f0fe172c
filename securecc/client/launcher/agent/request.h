/* The first frame: what the agent is told about a compile. */
#ifndef SECURECC_REQUEST_H
#define SECURECC_REQUEST_H

#include <stdbool.h>

#include "compile.h"

/* False: the agent is gone, or there is no working directory. */
bool request_send(int connection, const struct compile *compile);

#endif
