/* The launcher's one child: a compiler that the agent has it run. */
#ifndef SECURECC_CHILD_H
#define SECURECC_CHILD_H

#include <spawn.h>
#include <stdbool.h>

/* Returns 0 or an errno. `set` are variables for it in addition to ours; with `group` it leads a process group. */
int child_start(char **arguments, char **set, const posix_spawn_file_actions_t *actions, bool group);
int child_wait(void);                /* its wait status */
bool child_signal(int number);       /* to its whole group, if it leads one; false: none runs. Async-signal-safe */
void child_kill(void);               /* and wait for its end */

/* Runs one with our own descriptors. Returns 0 or an errno. */
int child_run(char **arguments, char **set, int *wait_status);
bool child_last_status(int *status); /* of the last one that child_run() ran; false: none */

#endif
