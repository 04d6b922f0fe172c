/* What the launcher prints on standard error, and how it ends when memory runs out. */
#ifndef SECURECC_REPORT_H
#define SECURECC_REPORT_H

/* Only with SECURECC_VERBOSE. */
void say(const char *what, const char *which);

/* What out_of_memory() calls before it ends the launcher; at most REPORT_CLEANUPS functions, set by main(). */
enum { REPORT_CLEANUPS = 2 };
void report_clean_up_by(void (*cleanup)(void));

_Noreturn void out_of_memory(void);

#endif
