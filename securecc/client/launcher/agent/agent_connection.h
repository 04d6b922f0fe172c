/* A connection to the agent, which is started if need be. */
#ifndef SECURECC_AGENT_CONNECTION_H
#define SECURECC_AGENT_CONNECTION_H

/* -1: there is none to be had; *why says so. */
int agent_connect(const char **why);

#endif
