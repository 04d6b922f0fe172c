#include "agent/replies.h"

#include "agent/frame.h"

static bool reply_number(int connection, enum frame_kind kind, uint32_t value, const void *rest, size_t size)
{
    struct packet packet;
    packet_open(&packet, kind);
    packet_u32(&packet, value);
    packet_bytes(&packet, rest, size);
    return packet_send(&packet, connection);
}

bool reply_captured(int connection, enum stream stream, const char *data, size_t size)
{
    const unsigned char number = (unsigned char)stream;
    struct packet packet;
    packet_open(&packet, FRAME_CAPTURED);
    packet_bytes(&packet, &number, 1);
    packet_bytes(&packet, data, size);
    return packet_send(&packet, connection);
}

bool reply_capture_done(int connection, uint32_t wait_status, bool truncated)
{
    const unsigned char flag = truncated;
    return reply_number(connection, FRAME_CAPTURE_DONE, wait_status, &flag, 1);
}

bool reply_spawned(int connection, uint32_t wait_status)
{
    return reply_number(connection, FRAME_SPAWNED, wait_status, "", 0);
}

bool reply_committed(int connection)
{
    struct packet packet;
    packet_open(&packet, FRAME_COMMITTED);
    return packet_send(&packet, connection);
}

bool reply_failed(int connection, int error, const char *path)
{
    struct packet packet;
    packet_open(&packet, FRAME_FAILED);
    packet_u32(&packet, (uint32_t)error);
    packet_string(&packet, path);
    return packet_send(&packet, connection);
}
