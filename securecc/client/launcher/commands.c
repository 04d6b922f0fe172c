#include "commands.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent_socket.h"
#include "agent/frame.h"
#include "agent/replies.h"
#include "compiler/capture.h"
#include "compiler/child.h"
#include "compiler/input.h"
#include "compiler/outputs.h"
#include "compiler/recursion.h"
#include "descriptors.h"
#include "exit_status.h"
#include "fallback.h"
#include "report.h"
#include "signals.h"

static bool outputs_failed; /* the agent knows; further frames for the same result are ignored */

static bool fail_outputs(int connection, int error, const char *path)
{
    outputs_failed = true;
    return reply_failed(connection, error, path);
}

static bool do_execute(int connection, struct payload *payload)
{
    const char *path = payload_string(payload);
    char **arguments = payload_list(payload);
    char **unset = payload_list(payload);
    (void)connection;
    if (!payload_complete(payload) || arguments[0] == NULL)
        return false;
    outputs_discard();
    say("the agent says to run", path);
    for (; *unset != NULL; unset++)
        unsetenv(*unset);
    recursion_deepen();
    input_restore();
    execv(path, arguments);
    return false;
}

static bool do_capture(int connection, struct payload *payload)
{
    uint8_t errors = payload_u8(payload);
    char **arguments = payload_list(payload);
    char **environment = payload_list(payload);
    bool good = payload_complete(payload) && errors <= 1 && arguments[0] != NULL;
    if (good) {
        signals_watch();
        good = capture(connection, arguments, environment, errors == 1);
    }
    free(arguments);
    free(environment);
    return good;
}

static bool spawn(int connection, char **arguments, char **environment)
{
    int status = 0;
    signals_watch();
    input_restore();
    int failure = child_run(arguments, environment, &status);
    return failure == 0 ? reply_spawned(connection, (uint32_t)status) : reply_failed(connection, failure, arguments[0]);
}

static bool do_spawn(int connection, struct payload *payload)
{
    char **arguments = payload_list(payload);
    char **environment = payload_list(payload);
    bool good = payload_complete(payload) && arguments[0] != NULL && spawn(connection, arguments, environment);
    free(arguments);
    free(environment);
    return good;
}

static bool do_output(int connection, struct payload *payload)
{
    int error = 0;
    uint8_t keep = payload_u8(payload);
    uint64_t size = payload_u64(payload);
    const char *path = payload_string(payload);
    if (!payload_complete(payload) || keep > KEEP_NOTHING || path[0] == 0)
        return false;
    signals_watch();
    return outputs_failed || outputs_add(path, size, (enum keep)keep, &error) || fail_outputs(connection, error, path);
}

static bool do_data(int connection, struct payload *payload)
{
    int error = 0;
    if (outputs_failed)
        return true;
    char *path = strdup(outputs_last()); /* a failure forgets the outputs */
    if (path == NULL)
        out_of_memory();
    bool good = outputs_write(payload->at, payload->left, &error) ||
                (error != EPROTO && fail_outputs(connection, error, path));
    free(path);
    return good;
}

static bool do_commit(int connection, struct payload *payload)
{
    int error = 0;
    const char *path = "";
    if (!payload_complete(payload))
        return false;
    if (outputs_failed)
        return true;
    if (!outputs_commit(&error, &path))
        return error != EPROTO && fail_outputs(connection, error, path);
    return reply_committed(connection);
}

static bool do_print(int connection, struct payload *payload)
{
    int stream = payload_u8(payload);
    if (payload->bad || stream < 1 || stream > 2)
        return false;
    if (outputs_failed)
        return true;
    if (write_all(stream, payload->at, payload->left) || stream == 2) /* the compiler would go on too */
        return true;
    int error = errno;
    outputs_discard();
    return fail_outputs(connection, error, "standard output");
}

static bool do_exit(int connection, struct payload *payload)
{
    uint32_t status = payload_u32(payload);
    (void)connection;
    if (!payload_complete(payload) || status > 255)
        return false;
    if (outputs_failed)
        return true;
    outputs_discard();
    say("done by the agent", "");
    _exit((int)status);
}

static bool do_keepalive(int connection, struct payload *payload)
{
    (void)connection;
    return payload_complete(payload);
}

static bool do_die(int connection, struct payload *payload)
{
    uint32_t number = payload_u32(payload);
    (void)connection;
    if (!payload_complete(payload) || number < 1 || number >= NSIG)
        return false;
    die_by((int)number);
}

static bool do_input(int connection, struct payload *payload)
{
    return payload_complete(payload) && input_read(connection);
}

static bool (*const commands[FRAME_INPUT + 1])(int, struct payload *) = {
    [FRAME_EXECUTE] = do_execute, [FRAME_CAPTURE] = do_capture, [FRAME_SPAWN] = do_spawn,
    [FRAME_OUTPUT] = do_output,   [FRAME_DATA] = do_data,       [FRAME_COMMIT] = do_commit,
    [FRAME_PRINT] = do_print,     [FRAME_EXIT] = do_exit,       [FRAME_KEEPALIVE] = do_keepalive,
    [FRAME_DIE] = do_die,         [FRAME_INPUT] = do_input,
};

/* One compile may wait for a hanging agent; the next ones must not, for a while. */
static _Noreturn void do_without(const struct compile *compile)
{
    const char *why = "the agent has gone";
    if (errno == EAGAIN) {
        const char *path = agent_socket(&why);
        if (path != NULL)
            agent_give_up(path);
        why = "the agent is silent";
    }
    compile_locally(compile, why, EXIT_IO_ERROR);
}

_Noreturn void commands_carry_out(int connection, const struct compile *compile)
{
    struct payload payload;
    for (;;) {
        errno = 0;
        int kind = frame_receive(connection, &payload);
        if (kind < 0)
            do_without(compile);
        if (kind > FRAME_INPUT || commands[kind] == NULL)
            compile_locally(compile, "the agent sent an unknown command", EXIT_PROTOCOL);
        if (!commands[kind](connection, &payload))
            compile_locally(compile, "a command of the agent could not be carried out", EXIT_PROTOCOL);
    }
}
