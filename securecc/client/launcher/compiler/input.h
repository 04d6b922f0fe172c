/* Standard input can be read once: it is kept as it goes to the agent, so that a compiler can read it again. */
#ifndef SECURECC_INPUT_H
#define SECURECC_INPUT_H

#include <stdbool.h>

/* All of it goes to the agent. False: the agent is gone. */
bool input_read(int connection);

/* For whatever is executed next. */
void input_restore(void);

#endif
