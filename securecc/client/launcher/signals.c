#include "signals.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compiler/child.h"
#include "compiler/outputs.h"

static void deadly(int number)
{
    outputs_discard();
    if (child_signal(number))
        child_wait(); /* the compiler removes what it was writing before it dies */
    signal(number, SIG_DFL);
    raise(number); /* delivered when this handler returns */
}

void signals_watch(void)
{
    static const int numbers[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGXFSZ, SIGXCPU};
    static bool watched;
    struct sigaction before, watch = {.sa_handler = deadly};
    if (watched)
        return;
    watched = true;
    sigfillset(&watch.sa_mask);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN) /* nohup stays in force */
            sigaction(numbers[i], &watch, NULL);
}

_Noreturn void die_by(int signal_number)
{
    const struct rlimit none = {0, 0};
    sigset_t one;
    outputs_discard();
    setrlimit(RLIMIT_CORE, &none); /* the core would be ours, not the compiler's */
    signal(signal_number, SIG_DFL);
    sigemptyset(&one);
    sigaddset(&one, signal_number);
    sigprocmask(SIG_UNBLOCK, &one, NULL);
    raise(signal_number);
    _exit(128 + signal_number);
}

_Noreturn void end_as(int wait_status)
{
    if (WIFSIGNALED(wait_status))
        die_by(WTERMSIG(wait_status));
    outputs_discard();
    _exit(WEXITSTATUS(wait_status));
}
