/* A child whose output goes to the agent. */
#ifndef SECURECC_CAPTURE_H
#define SECURECC_CAPTURE_H

#include <stdbool.h>

/* With `errors` its standard error too. False: the agent is gone. */
bool capture(int connection, char **arguments, char **environment, bool errors);

#endif
