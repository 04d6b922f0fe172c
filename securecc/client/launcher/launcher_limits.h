/* Sizes, counts and times. docs/launcher-protocol.md names the same values. */
#ifndef SECURECC_LAUNCHER_LIMITS_H
#define SECURECC_LAUNCHER_LIMITS_H

#define PROTOCOL_VERSION 2
#define MESSAGE_MAX (4u << 20)  /* bytes of one frame: argv and environment stay below ARG_MAX, 2 MiB */
#define SILENCE_S 5             /* for a frame, or for an agent to start; SECURECC_AGENT_TIMEOUT may allow more */
#define SILENCE_MOST_S 3600
#define GIVEN_UP_S 10           /* after a failure, no launcher tries again for this long */
#define CAPTURE_MAX (64u << 20) /* bytes that a captured child may write */
#define INPUT_MAX (4u << 20)    /* bytes of standard input that the agent gets; a larger source is compiled here */
#define OUTPUTS_MAX 64          /* files of one compile */
#define RECURSION_MAX 4         /* nested wrappers happen; a loop ends here */

#endif
