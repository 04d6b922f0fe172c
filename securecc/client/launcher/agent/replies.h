/* What the launcher answers to the agent's commands. False: the agent is gone. */
#ifndef SECURECC_REPLIES_H
#define SECURECC_REPLIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum stream { STREAM_INPUT, STREAM_OUTPUT, STREAM_ERROR };

bool reply_captured(int connection, enum stream stream, const char *data, size_t size);
bool reply_capture_done(int connection, uint32_t wait_status, bool truncated);
bool reply_spawned(int connection, uint32_t wait_status);
bool reply_committed(int connection);
bool reply_failed(int connection, int error, const char *path);

#endif
