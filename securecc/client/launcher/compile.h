/* One compile, as the user asked for it. */
#ifndef SECURECC_COMPILE_H
#define SECURECC_COMPILE_H

struct compile {
    char *path;       /* the real compiler, absolute */
    char **arguments; /* NULL at the end; [0] is the name that the compiler is given */
};

#endif
