/* The log: a file that the runner makes, shared by all processes of one job. It has a header and then the questions,
 * each of them a kind, an answer and a text that ends with a NUL. docs/protocol.md says what they mean. */
#ifndef SECURECC_WITNESS_LOG_H
#define SECURECC_WITNESS_LOG_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* In the log, the kinds of what the job's first program asks are in lower case. */
enum kind {
    NAME = 'N',      /* what a path leads to */
    LINK = 'L',      /* what is at a path itself */
    ALLOWED = 'A',   /* a path's file may be used in the way that was asked for */
    DIRECTORY = 'D', /* which names a directory has */
    VARIABLE = 'V',
    CLOCK = 'T',
    MACHINE = 'M',
    CHANCE = 'C',
    WRITTEN = 'W', /* a path was opened for writing; the answer is what was there */
    PROGRAM = 'P', /* a program was started */
    UNKNOWN = 'U', /* something was asked that nobody can repeat */
};

enum answer {
    ABSENT = '-',
    PRESENT = '+', /* a variable that is set; no question for other kinds */
    REGULAR = 'f',
    FOLDER = 'd',
    SYMLINK = 'l',
    SPECIAL = 's',
    REFUSED = '!',
};

/* Writes a question down, unless this process did so a short while ago, or it is of the job's temporary files. */
void note(enum kind kind, enum answer answer, const char *text);

/* The same with a mark, of MARK characters, before the text. */
enum { MARK = 16 };
void note_marked(enum kind kind, enum answer answer, const char *mark, const char *text);

/* The same for a question whose meaning depends on who asks: ASKER, in the function that is called. */
#define ASKER __builtin_return_address(0)
void note_asker(enum kind kind, const char *what, const void *asker);

/* A name that this process has just made up, of a file that was not there: it is no question. */
void disregard(const char *path);

/* A path that begins at another descriptor than the working directory cannot be asked for again. */
enum kind kind_at(int at, const char *path, enum kind kind);

/* FNV-1a, 64 bits. */
uint64_t hash_of(const char *text);

/* The answer that a look at a file gave; `result` is the kernel's. */
enum answer answer_of(long result, const struct stat *state);

/* What is at a path now, where the question itself does not tell; flags as for fstatat(2). */
enum answer look(int at, const char *path, int flags);

/* A program begins to run in place of this one, or beside it; or did not after all. */
void count_started(int change);

#endif
