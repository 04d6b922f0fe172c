/* A connection to the agent, which is started if necessary. */
#ifndef SECURECC_AGENT_CONNECTION_H
#define SECURECC_AGENT_CONNECTION_H

/* -1: there is none; *why says why. */
int agent_connect(const char **why);

#endif
