/* A new agent process. */
#ifndef SECURECC_AGENT_START_H
#define SECURECC_AGENT_START_H

#include <stdbool.h>

/* False: it is not ready after READY_S. The caller holds the lock. */
bool agent_start(const char *socket_path);

/* The descriptor of a lock that one launcher holds at a time; -1: another has held it for longer than READY_S. */
int agent_start_lock(const char *socket_path);

#endif
