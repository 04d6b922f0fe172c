/* A new agent process. */
#ifndef SECURECC_AGENT_START_H
#define SECURECC_AGENT_START_H

#include <stdbool.h>

/* Seconds after which an agent that is silent, or not ready, is given up: SILENCE_S, or SECURECC_AGENT_TIMEOUT on a
 * machine that is busier than most. */
unsigned agent_patience(void);

/* False: it was not ready in time. The caller holds the lock. */
bool agent_start(const char *socket_path);

/* The descriptor of a lock that one launcher holds at a time; -1: another has held it for longer than that. */
int agent_start_lock(const char *socket_path);

#endif
