/* Frames between launcher and agent: bytes out and in, every length checked (docs/launcher-protocol.md). */
#ifndef SECURECC_FRAME_H
#define SECURECC_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum frame_kind {
    FRAME_REQUEST = 0x01,
    FRAME_CAPTURED = 0x02,
    FRAME_CAPTURE_DONE = 0x03,
    FRAME_SPAWNED = 0x04,
    FRAME_COMMITTED = 0x05,
    FRAME_FAILED = 0x06,
    FRAME_EXECUTE = 0x81, /* the first of the agent's */
    FRAME_CAPTURE,
    FRAME_SPAWN,
    FRAME_OUTPUT,
    FRAME_DATA,
    FRAME_COMMIT,
    FRAME_PRINT,
    FRAME_EXIT,
    FRAME_KEEPALIVE,
    FRAME_DIE,
    FRAME_INPUT /* the last */
};

/* A frame as it is written. */
struct packet {
    unsigned char *data;
    size_t size, room;
};
void packet_open(struct packet *packet, enum frame_kind kind);
void packet_u32(struct packet *packet, uint32_t value);
void packet_bytes(struct packet *packet, const void *data, size_t size);
void packet_string(struct packet *packet, const char *string);
bool packet_send(struct packet *packet, int connection); /* frees it; false: too long, or the peer has gone */

/* The fields of a frame as they are read. */
struct payload {
    unsigned char *at;
    size_t left;
    bool bad; /* sticky: some field ran past the end, or a string contained a zero */
};
uint8_t payload_u8(struct payload *payload);
uint32_t payload_u32(struct payload *payload);
uint64_t payload_u64(struct payload *payload);
char *payload_string(struct payload *payload); /* within the payload, zero-terminated; "" when bad */
char **payload_list(struct payload *payload);  /* NULL-terminated, malloc'ed; never NULL */
bool payload_complete(const struct payload *payload);

/* The kind of the next frame; its payload is valid until the next call. -1: silence, end of file or no frame. */
int frame_receive(int connection, struct payload *payload);

#endif
