/* The launcher's own exit statuses, the same as distcc's. */
#ifndef SECURECC_EXIT_STATUS_H
#define SECURECC_EXIT_STATUS_H

enum exit_status {
    EXIT_BAD_ARGUMENTS = 101,
    EXIT_CONNECT_FAILED = 103,
    EXIT_OUT_OF_MEMORY = 105,
    EXIT_IO_ERROR = 107,
    EXIT_PROTOCOL = 109,
    EXIT_COMPILER_MISSING = 110,
    EXIT_RECURSION = 111
};

#endif
