/* The agent's commands, carried out until one of them ends the launcher. */
#ifndef SECURECC_COMMANDS_H
#define SECURECC_COMMANDS_H

#include "compile.h"

_Noreturn void commands_carry_out(int connection, const struct compile *compile);

#endif
