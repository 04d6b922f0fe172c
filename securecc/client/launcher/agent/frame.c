/* u32 length, u8 kind, payload; little-endian. */
#include "agent/frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "launcher_limits.h"
#include "report.h"

enum { HEADER = 5 };

static void put_u32(unsigned char *at, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        at[i] = (unsigned char)(value >> (8 * i));
}

static uint32_t get_u32(const unsigned char *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

void packet_bytes(struct packet *packet, const void *data, size_t size)
{
    if (size > packet->room - packet->size) {
        size_t room = packet->room + size + 8192;
        unsigned char *grown = realloc(packet->data, room);
        if (grown == NULL)
            out_of_memory();
        packet->data = grown;
        packet->room = room;
    }
    if (size > 0)
        memcpy(packet->data + packet->size, data, size);
    packet->size += size;
}

void packet_open(struct packet *packet, enum frame_kind kind)
{
    const unsigned char header[HEADER] = {0, 0, 0, 0, (unsigned char)kind};
    *packet = (struct packet){0};
    packet_bytes(packet, header, sizeof header);
}

void packet_u32(struct packet *packet, uint32_t value)
{
    unsigned char bytes[4];
    put_u32(bytes, value);
    packet_bytes(packet, bytes, sizeof bytes);
}

void packet_string(struct packet *packet, const char *string)
{
    size_t size = strlen(string);
    packet_u32(packet, (uint32_t)size); /* the kernel lets no argument or path reach 4 GiB */
    packet_bytes(packet, string, size);
}

bool packet_send(struct packet *packet, int connection)
{
    bool sent = packet->size - HEADER <= MESSAGE_MAX;
    put_u32(packet->data, (uint32_t)(packet->size - HEADER));
    for (size_t at = 0; sent && at < packet->size;) {
        ssize_t written = send(connection, packet->data + at, packet->size - at, MSG_NOSIGNAL);
        if (written > 0)
            at += (size_t)written;
        else if (errno != EINTR)
            sent = false;
    }
    free(packet->data);
    *packet = (struct packet){0};
    return sent;
}

static unsigned char *take(struct payload *payload, size_t size)
{
    static unsigned char nothing[8];
    if (payload->bad || size > payload->left) {
        payload->bad = true;
        return size <= sizeof nothing ? memset(nothing, 0, sizeof nothing) : NULL;
    }
    unsigned char *at = payload->at;
    payload->at += size;
    payload->left -= size;
    return at;
}

uint8_t payload_u8(struct payload *payload)
{
    return *take(payload, 1);
}

uint32_t payload_u32(struct payload *payload)
{
    return get_u32(take(payload, 4));
}

uint64_t payload_u64(struct payload *payload)
{
    const unsigned char *at = take(payload, 8);
    return (uint64_t)get_u32(at) | (uint64_t)get_u32(at + 4) << 32;
}

char *payload_string(struct payload *payload)
{
    static char none[1];
    unsigned char *start = payload->at;
    size_t size = payload_u32(payload);
    if (payload->bad || size > payload->left || memchr(payload->at, 0, size) != NULL) {
        payload->bad = true;
        return none;
    }
    /* The string moves over its own length, which leaves room for the terminating zero. */
    memmove(start, take(payload, size), size);
    start[size] = 0;
    return (char *)start;
}

char **payload_list(struct payload *payload)
{
    size_t count = payload_u32(payload);
    if (count > payload->left / 4) {
        payload->bad = true;
        count = 0;
    }
    char **list = calloc(count + 1, sizeof *list);
    if (list == NULL)
        out_of_memory();
    for (size_t i = 0; i < count; i++)
        list[i] = payload_string(payload);
    return list;
}

bool payload_complete(const struct payload *payload)
{
    return !payload->bad && payload->left == 0;
}

static bool receive(int connection, unsigned char *data, size_t size)
{
    while (size > 0) {
        ssize_t got = recv(connection, data, size, 0); /* SO_RCVTIMEO bounds the wait */
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        data += got;
        size -= (size_t)got;
    }
    return true;
}

int frame_receive(int connection, struct payload *payload)
{
    static unsigned char *buffer;
    static size_t room;
    unsigned char header[HEADER];
    if (!receive(connection, header, sizeof header))
        return -1;
    size_t size = get_u32(header);
    if (size > MESSAGE_MAX)
        return -1;
    if (size > room || buffer == NULL) {
        free(buffer);
        room = size > 8192 ? size : 8192;
        buffer = malloc(room);
        if (buffer == NULL)
            out_of_memory();
    }
    if (!receive(connection, buffer, size))
        return -1;
    *payload = (struct payload){.at = buffer, .left = size};
    return header[4];
}
