/* A compiler that does nothing: it reads its input and writes "nothing". -E copies the input, and -M names the input
 * only, because it reads nothing else. All other queries are passed to gcc. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int copy(const char *input, const char *output, int drop)
{
    char buffer[4096];
    ssize_t got;
    int from = open(input, O_RDONLY);
    int to = output == NULL ? 1 : open(output, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (from < 0 || to < 0)
        return 1;
    while ((got = read(from, buffer, sizeof buffer)) > 0)
        if (!drop && write(to, buffer, got) != got)
            return 1;
    return drop ? write(to, "nothing\n", 8) != 8 : 0;
}

int main(int argc, char **argv)
{
    const char *input = NULL, *output = NULL;
    int compiles = 0, preprocesses = 0, lists = 0;
    if (argc == 2 && strcmp(argv[1], "-v") == 0)
        return 0; /* queried in the sandbox, where there is no gcc */
    for (int i = 1; i < argc; i++) {
        size_t length = strlen(argv[i]);
        if (strcmp(argv[i], "-c") == 0)
            compiles = 1;
        else if (strcmp(argv[i], "-o") == 0 && i + 1 < argc)
            output = argv[++i];
        else if (argv[i][0] != '-' && length > 2 && argv[i][length - 2] == '.')
            input = argv[i];
        else if (strcmp(argv[i], "-E") == 0)
            preprocesses = 1;
        else if (strncmp(argv[i], "-M", 2) == 0)
            lists = 1;
    }
    if (lists && input != NULL)
        return printf("noop.o: %s\n", input) < 0;
    if (input != NULL && preprocesses)
        return copy(input, output, 0);
    if (input != NULL && compiles && output != NULL)
        return copy(input, output, 1);
    argv[0] = "gcc";
    execv("/usr/bin/gcc", argv);
    return 127;
}
