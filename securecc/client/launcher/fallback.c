#include "fallback.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent_socket.h"
#include "compiler/child.h"
#include "compiler/input.h"
#include "compiler/outputs.h"
#include "compiler/recursion.h"
#include "exit_status.h"
#include "report.h"
#include "signals.h"

_Noreturn void become_compiler(const struct compile *compile)
{
    recursion_deepen();
    input_restore();
    execv(compile->path, compile->arguments);
    dprintf(2, "securecc: cannot run %s: %s\n", compile->path, strerror(errno));
    _exit(EXIT_COMPILER_MISSING);
}

_Noreturn void compile_locally(const struct compile *compile, const char *why, int status)
{
    int wait_status;
    const char *fallback = getenv("SECURECC_FALLBACK");
    outputs_discard();
    child_kill();
    if (child_last_status(&wait_status))
        end_as(wait_status); /* it has been compiled here already */
    if (fallback != NULL && strcmp(fallback, "0") == 0) {
        dprintf(2, "securecc: %s, and SECURECC_FALLBACK=0 forbids compiling locally\n", why);
        _exit(status);
    }
    if (agent_given_up_here_first())
        dprintf(2, "securecc: %s; compiling locally\n", why);
    else
        say("compiling locally:", why);
    become_compiler(compile);
}
