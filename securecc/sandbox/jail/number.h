/* Numbers in arguments, decimal and separated by one space. */
#ifndef SECURECC_NUMBER_H
#define SECURECC_NUMBER_H

/* The number at *text, which advances to the next one. Ends the program for anything else. */
unsigned long long read_number(const char **text);

/* The same for a descriptor. */
int read_descriptor(const char **text);

#endif
