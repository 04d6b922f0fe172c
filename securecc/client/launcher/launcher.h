/* securecc, the launcher: one compile, handed to the user's agent, whose orders are then carried out.
 *
 * It decides nothing about compiling. Its one decision is when to do without the agent: whatever fails before the
 * agent has said how the compile ended, the real compiler is executed instead, unless SECURECC_FALLBACK=0.
 * docs/launcher-protocol.md is normative for the frames.
 */
#ifndef SECURECC_LAUNCHER_H
#define SECURECC_LAUNCHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROTOCOL_VERSION 1
#define MESSAGE_MAX (4u << 20)  /* bytes of one frame: argv and environment stay below ARG_MAX, 2 MiB */
#define SILENCE_S 5             /* without a frame for this long the agent is given up */
#define READY_S 5               /* an agent that starts must be ready by then */
#define GIVEN_UP_S 10           /* after a failure, this long nobody tries again */
#define CAPTURE_MAX (64u << 20) /* bytes that a captured child may write */
#define INPUT_MAX (4u << 20)    /* bytes of standard input that the agent is told; a larger source is compiled here */
#define OUTPUTS_MAX 64          /* files of one compile */
#define RECURSION_MAX 4         /* wrappers in wrappers happen; a loop ends here */

/* Exit statuses, as distcc's. */
enum {
    EXIT_BAD_ARGUMENTS = 101,
    EXIT_CONNECT_FAILED = 103,
    EXIT_OUT_OF_MEMORY = 105,
    EXIT_IO_ERROR = 107,
    EXIT_PROTOCOL = 109,
    EXIT_COMPILER_MISSING = 110,
    EXIT_RECURSION = 111
};

/* What the user asked for. */
struct compile {
    char *path;       /* the real compiler, absolute */
    char **arguments; /* NULL at the end; [0] is what the compiler sees as its own name */
};

/* frame.c: bytes out and in, every length checked. */
struct packet {
    unsigned char *data;
    size_t size, room;
};
struct payload {
    unsigned char *at;
    size_t left;
    bool bad; /* sticky: some field ran over the end, or a string had a zero in it */
};
void packet_open(struct packet *packet, unsigned kind);
void packet_u32(struct packet *packet, uint32_t value);
void packet_bytes(struct packet *packet, const void *data, size_t size);
void packet_string(struct packet *packet, const char *string);
bool packet_send(struct packet *packet, int connection); /* frees it; false: too long, or the peer is gone */
uint8_t payload_u8(struct payload *payload);
uint32_t payload_u32(struct payload *payload);
uint64_t payload_u64(struct payload *payload);
char *payload_string(struct payload *payload); /* within the payload, made zero-terminated; "" when bad */
char **payload_list(struct payload *payload);  /* NULL-terminated, malloc'ed; never NULL */
bool write_all(int fd, const void *data, size_t size); /* false: errno says why */
/* The next frame; its payload is valid until the next call. -1: silence, end of file or no frame. */
int frame_receive(int connection, struct payload *payload);

/* request.c: what the agent is told. */
bool request_send(int connection, const struct compile *compile);

/* place.c: where the agent of this user and this world listens. NULL: nowhere to be trusted; *why says so. */
const char *place_socket(const char **why);
bool place_given_up(const char *socket_path);
void place_give_up(const char *socket_path);
bool place_gave_up_first(void); /* whether no other launcher has said so */

/* agent.c: a connection to it, started if need be. -1: none to be had; *why says so. */
int agent_connect(const char **why);

/* compiler.c: the real compiler; for a masquerade the next one of this name in PATH. NULL: not found. */
char *compiler_find(const char *name, bool masquerade, bool *passed_ourselves);
unsigned recursion_level(void);
void recursion_deepen(void);

/* child.c: children, and the signals that end us. */
bool child_capture(int connection, char **arguments, char **environment, bool errors);
bool child_spawn(int connection, char **arguments, char **environment);
void child_end(void);                   /* kills the one that runs */
bool child_last_status(int *status);    /* of the last one spawned */
void signals_watch(void);               /* from now on a deadly signal cleans up first */
_Noreturn void die_by(int signal_number);
_Noreturn void end_as(int wait_status);

/* outputs.c: all or nothing. False: *error is the errno, and no temporary is left. */
enum keep { KEEP_IF_EMPTY, KEEP, KEEP_NOTHING }; /* of a file that is there, as the one who writes it does */
bool outputs_add(const char *target, uint64_t size, enum keep keep, int *error);
bool outputs_write(const void *data, size_t size, int *error); /* EPROTO: more than announced, or nothing announced */
bool outputs_commit(int *error, const char **target);
const char *outputs_last(void);
void outputs_discard(void); /* async-signal-safe */

/* input.c: standard input, told to the agent; whoever is executed afterwards must be given it again. */
bool input_read(int connection); /* false: the agent is gone */
void input_restore(void);

/* orders.c */
_Noreturn void orders_obey(int connection, const struct compile *compile);

/* main.c */
_Noreturn void compile_locally(const struct compile *compile, const char *why, int status);
_Noreturn void out_of_memory(void);
void say(const char *what, const char *which); /* on standard error, only with SECURECC_VERBOSE */

#endif
