/* securecc COMPILER ARGUMENTS..., or a link named like a compiler. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launcher.h"

#ifndef SECURECC_VERSION
#define SECURECC_VERSION "unknown"
#endif

static bool is_on(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && strcmp(value, "0") != 0 && value[0] != 0;
}

void say(const char *what, const char *which)
{
    if (is_on("SECURECC_VERBOSE"))
        dprintf(2, "securecc: %s%s%s\n", what, which[0] == 0 ? "" : " ", which);
}

_Noreturn void out_of_memory(void)
{
    outputs_discard();
    child_end();
    dprintf(2, "securecc: out of memory\n");
    _exit(EXIT_OUT_OF_MEMORY);
}

static _Noreturn void become(const struct compile *compile)
{
    recursion_deepen();
    input_restore();
    execv(compile->path, compile->arguments);
    dprintf(2, "securecc: cannot run %s: %s\n", compile->path, strerror(errno));
    _exit(EXIT_COMPILER_MISSING);
}

_Noreturn void compile_locally(const struct compile *compile, const char *why, int status)
{
    int ended;
    const char *fallback = getenv("SECURECC_FALLBACK");
    outputs_discard();
    child_end();
    if (child_last_status(&ended))
        end_as(ended); /* it has been compiled locally already */
    if (fallback != NULL && strcmp(fallback, "0") == 0) {
        dprintf(2, "securecc: %s, and SECURECC_FALLBACK=0 forbids to compile locally\n", why);
        _exit(status);
    }
    if (place_gave_up_first())
        dprintf(2, "securecc: %s; compiling locally\n", why);
    else
        say("compiling locally:", why);
    become(compile);
}

static _Noreturn void usage(int status)
{
    dprintf(status == 0 ? 1 : 2,
            "securecc " SECURECC_VERSION ": compiles on the farm, or locally\n"
            "usage: securecc COMPILER ARGUMENTS...   (or a link to securecc named like the compiler)\n"
            "SECURECC_HOSTS names the servers; SECURECC_VERBOSE=1 says where each compile runs; SECURECC_FALLBACK=0\n"
            "forbids compiling locally for want of a server. All else: securecctl --help\n");
    _exit(status);
}

/* A compiler's descriptors 0 to 2 may be closed; ours must never take their numbers, and nothing can be written. */
static void occupy_standard(void)
{
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Which compiler, and what it is to see as its own name. */
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
    /* gcc looks for its parts beside the program of its own name in PATH, where it would find us. */
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
    if (recursion_level() >= RECURSION_MAX) {
        dprintf(2, "securecc: called itself %d times (SECURECC_RECURSION); check PATH and the compiler's wrapper\n",
                RECURSION_MAX);
        return EXIT_RECURSION;
    }
    struct compile compile = what_to_compile(count, arguments);
    if (recursion_level() > 0)
        become(&compile);
    int connection = agent_connect(&why);
    if (connection < 0)
        compile_locally(&compile, why, EXIT_CONNECT_FAILED);
    if (!request_send(connection, &compile))
        compile_locally(&compile, "the agent takes no request", EXIT_IO_ERROR);
    orders_obey(connection, &compile);
}
