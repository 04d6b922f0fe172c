/* How the launcher ends by a signal: its own, or one that ended a compiler. */
#ifndef SECURECC_SIGNALS_H
#define SECURECC_SIGNALS_H

/* From now on a deadly signal first removes temporaries and is passed to the child. */
void signals_watch(void);

_Noreturn void die_by(int signal_number);
_Noreturn void end_as(int wait_status);

#endif
