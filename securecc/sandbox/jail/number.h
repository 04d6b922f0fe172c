/* Numbers in arguments, decimal and apart by one space. */
#ifndef SECURECC_NUMBER_H
#define SECURECC_NUMBER_H

/* The number at *text, which moves on to the next one. Ends the program for anything else. */
unsigned long long read_number(const char **text);

/* So too, for a descriptor. */
int read_descriptor(const char **text);

#endif
