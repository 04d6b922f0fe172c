/* The agent's orders, by a table. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launcher.h"

static bool outputs_failed; /* said so; what is on its way for the same result is void */

static bool say_failed(int connection, int error, const char *path)
{
    struct packet packet;
    outputs_failed = true;
    packet_open(&packet, 0x06);
    packet_u32(&packet, (uint32_t)error);
    packet_string(&packet, path);
    return packet_send(&packet, connection);
}

static bool complete(const struct payload *payload)
{
    return !payload->bad && payload->left == 0;
}

static bool obey_execute(int connection, struct payload *payload)
{
    const char *path = payload_string(payload);
    char **arguments = payload_list(payload);
    char **unset = payload_list(payload);
    (void)connection;
    if (!complete(payload) || arguments[0] == NULL)
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

static bool obey_capture(int connection, struct payload *payload)
{
    uint8_t errors = payload_u8(payload);
    char **arguments = payload_list(payload);
    char **environment = payload_list(payload);
    bool good = complete(payload) && errors <= 1 && arguments[0] != NULL &&
                child_capture(connection, arguments, environment, errors == 1);
    free(arguments);
    free(environment);
    return good;
}

static bool obey_spawn(int connection, struct payload *payload)
{
    char **arguments = payload_list(payload);
    char **environment = payload_list(payload);
    bool good = complete(payload) && arguments[0] != NULL && child_spawn(connection, arguments, environment);
    free(arguments);
    free(environment);
    return good;
}

static bool obey_output(int connection, struct payload *payload)
{
    int error = 0;
    uint8_t keep = payload_u8(payload);
    uint64_t size = payload_u64(payload);
    const char *path = payload_string(payload);
    if (!complete(payload) || keep > KEEP_NOTHING || path[0] == 0)
        return false;
    signals_watch();
    return outputs_failed || outputs_add(path, size, (enum keep)keep, &error) || say_failed(connection, error, path);
}

static bool obey_data(int connection, struct payload *payload)
{
    int error = 0;
    if (outputs_failed)
        return true;
    char *path = strdup(outputs_last()); /* a failure forgets the outputs */
    if (path == NULL)
        out_of_memory();
    bool good = outputs_write(payload->at, payload->left, &error) ||
                (error != EPROTO && say_failed(connection, error, path));
    free(path);
    return good;
}

static bool obey_commit(int connection, struct payload *payload)
{
    int error = 0;
    const char *path = "";
    struct packet packet;
    if (!complete(payload))
        return false;
    if (outputs_failed)
        return true;
    if (!outputs_commit(&error, &path))
        return error != EPROTO && say_failed(connection, error, path);
    packet_open(&packet, 0x05);
    return packet_send(&packet, connection);
}

static bool obey_print(int connection, struct payload *payload)
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
    return say_failed(connection, error, "standard output");
}

static bool obey_exit(int connection, struct payload *payload)
{
    uint32_t status = payload_u32(payload);
    (void)connection;
    if (!complete(payload) || status > 255)
        return false;
    if (outputs_failed)
        return true;
    outputs_discard();
    say("done by the agent", "");
    _exit((int)status);
}

static bool obey_keepalive(int connection, struct payload *payload)
{
    (void)connection;
    return complete(payload);
}

static bool obey_die(int connection, struct payload *payload)
{
    uint32_t number = payload_u32(payload);
    (void)connection;
    if (!complete(payload) || number < 1 || number >= NSIG)
        return false;
    die_by((int)number);
}

static bool obey_input(int connection, struct payload *payload)
{
    return complete(payload) && input_read(connection);
}

static bool (*const obey[])(int, struct payload *) = {
    obey_execute, obey_capture, obey_spawn, obey_output,    obey_data,
    obey_commit,  obey_print,   obey_exit,  obey_keepalive, obey_die, obey_input,
};

enum { FIRST_KIND = 0x81, KINDS = sizeof obey / sizeof *obey };

/* One compile may wait for a hanging agent; the next ones in a while must not. */
static _Noreturn void do_without(const struct compile *compile)
{
    const char *why = "the agent has gone";
    if (errno == EAGAIN) {
        const char *path = place_socket(&why);
        if (path != NULL)
            place_give_up(path);
        why = "the agent is silent";
    }
    compile_locally(compile, why, EXIT_IO_ERROR);
}

_Noreturn void orders_obey(int connection, const struct compile *compile)
{
    struct payload payload;
    for (;;) {
        errno = 0;
        int kind = frame_receive(connection, &payload);
        if (kind < 0)
            do_without(compile);
        if (kind < FIRST_KIND || kind >= FIRST_KIND + KINDS)
            compile_locally(compile, "the agent sent no order that is known here", EXIT_PROTOCOL);
        if (!obey[kind - FIRST_KIND](connection, &payload))
            compile_locally(compile, "an order of the agent's could not be carried out", EXIT_PROTOCOL);
    }
}
