/* securecc COMPILER ARGUMENTS..., or a link named like a compiler.
 *
 * The launcher: one compile, handed to the user's agent, whose commands are then carried out. It decides nothing about
 * compiling. Its one decision is when to do without the agent: whatever fails before the agent has said how the compile
 * ended, the real compiler is executed instead, unless SECURECC_FALLBACK=0. docs/launcher-protocol.md is normative.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent_connection.h"
#include "agent/request.h"
#include "commands.h"
#include "compile.h"
#include "compiler/child.h"
#include "compiler/outputs.h"
#include "compiler/recursion.h"
#include "compiler/search.h"
#include "descriptors.h"
#include "exit_status.h"
#include "fallback.h"
#include "launcher_limits.h"
#include "report.h"

#ifndef SECURECC_VERSION
#define SECURECC_VERSION "unknown"
#endif

static _Noreturn void usage(int status)
{
    dprintf(status == 0 ? 1 : 2,
            "securecc " SECURECC_VERSION ": compiles on the farm, or locally\n"
            "usage: securecc COMPILER ARGUMENTS...   (or a link to securecc named like the compiler)\n"
            "SECURECC_HOSTS names the servers; SECURECC_VERBOSE=1 says where each compile runs; SECURECC_FALLBACK=0\n"
            "forbids compiling locally for want of a server. All else: securecctl --help\n");
    _exit(status);
}

/* Which compiler, and the name that it is called by. */
static struct compile what_to_compile(int count, char **arguments)
{
    const char *slash = strrchr(arguments[0], '/');
    const char *own = slash == NULL ? arguments[0] : slash + 1;
    bool passed_ourselves, masquerade = strcmp(own, "securecc") != 0;
    if (!masquerade && (count < 2 || strcmp(arguments[1], "--help") == 0))
        usage(count < 2 ? EXIT_BAD_ARGUMENTS : 0);
    if (!masquerade && strcmp(arguments[1], "--version") == 0)
        usage(0);
    struct compile compile = {.arguments = masquerade ? arguments : arguments + 1};
    const char *name = masquerade ? own : arguments[1];
    compile.path = compiler_find(name, masquerade, &passed_ourselves);
    if (compile.path == NULL) {
        dprintf(2, "securecc: no compiler named %s found%s; check PATH\n", name,
                passed_ourselves ? " besides links to programs like securecc" : "");
        _exit(EXIT_COMPILER_MISSING);
    }
    /* gcc looks for its parts beside the program of its name in PATH, where it would find us. */
    if (passed_ourselves)
        compile.arguments[0] = compile.path;
    return compile;
}

int main(int count, char **arguments)
{
    const char *why = "";
    if (count < 1)
        return EXIT_BAD_ARGUMENTS;
    occupy_standard();
    report_clean_up_by(outputs_discard);
    report_clean_up_by(child_kill);
    if (recursion_level() >= RECURSION_MAX) {
        dprintf(2, "securecc: called itself %d times (SECURECC_RECURSION); check PATH and the compiler's wrapper\n",
                RECURSION_MAX);
        return EXIT_RECURSION;
    }
    struct compile compile = what_to_compile(count, arguments);
    if (recursion_level() > 0)
        become_compiler(&compile);
    int connection = agent_connect(&why);
    if (connection < 0)
        compile_locally(&compile, why, EXIT_CONNECT_FAILED);
    if (!request_send(connection, &compile))
        compile_locally(&compile, "the agent takes no request", EXIT_IO_ERROR);
    commands_carry_out(connection, &compile);
}
