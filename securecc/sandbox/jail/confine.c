/* securecc-confine FILTER RULESETS PROGRAM ARGUMENTS...
 *
 * Becomes PROGRAM, without the files and system calls that it must not have. FILTER is the descriptor of a file of
 * system call rules (seccomp(2)), RULESETS those of Landlock rulesets, apart by spaces; both may be empty. No
 * descriptor but 0, 1 and 2 is passed on.
 *
 * It is the last step inside a sandbox that another program has made: a process restricted by Landlock cannot mount.
 */
#define _GNU_SOURCE
#include "failure.h"
#include "number.h"
#include "restriction.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { RULESETS = 4 };

int main(int count, char **words)
{
    static struct filter filter;
    int rulesets[RULESETS];
    size_t given = 0;
    if (count < 4)
        fail("read", "the arguments", 0);
    for (const char *text = words[2]; *text != '\0'; rulesets[given++] = read_descriptor(&text))
        if (given == RULESETS)
            fail("use", "so many rulesets", 0);
    must(prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL), "forgo", "new privileges");
    for (const char *text = words[1]; *text != '\0';)
        read_filter(&filter, read_descriptor(&text), "the filter");
    restrict_files(rulesets, given);
    must(syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 0), "close", "what was inherited");
    install_filter(&filter);
    execvp(words[3], words + 3);
    fail("run", words[3], errno);
}
