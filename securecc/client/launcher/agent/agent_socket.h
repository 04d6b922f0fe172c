/* Where the agent of this user and this world listens, and the mark of its recent failure. */
#ifndef SECURECC_AGENT_SOCKET_H
#define SECURECC_AGENT_SOCKET_H

#include <stdbool.h>

/* NULL: there is no place that can be trusted; *why says why. */
const char *agent_socket(const char **why);

/* Whether a launcher gave up this agent less than GIVEN_UP_S ago. */
bool agent_given_up(const char *socket_path);
void agent_give_up(const char *socket_path);
bool agent_given_up_here_first(void); /* by this launcher, and no other before it */

#endif
