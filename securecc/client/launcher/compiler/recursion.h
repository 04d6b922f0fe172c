/* How often launchers have started launchers: SECURECC_RECURSION in the environment. */
#ifndef SECURECC_RECURSION_H
#define SECURECC_RECURSION_H

unsigned recursion_level(void);
void recursion_deepen(void);

#endif
