#include "agent/request.h"

#include <limits.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/frame.h"
#include "launcher_limits.h"

extern char **environ;

/* What a compiler may read, and what tells the agent the ticket and the settings. A star ends a prefix. */
static const char *const listed[] = {
    "PATH", "PWD", "HOME", "LANG", "LANGUAGE", "LC_*", "LOCPATH", "NLSPATH", "GCONV_PATH", "OUTPUT_CHARSET", "TZ",
    "SOURCE_DATE_EPOCH", "CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "OBJC_INCLUDE_PATH", "OBJCPLUS_INCLUDE_PATH",
    "LIBRARY_PATH", "LPATH", "COMPILER_PATH", "DEPENDENCIES_OUTPUT", "SUNPRO_DEPENDENCIES", "CXX_MODULE_MAPPER",
    "GNUTARGET", "POSIXLY_CORRECT", "GCC_*", "CCC_*", "LD_*", "COLLECT_*", "TMPDIR", "TMP", "TEMP", "COLUMNS", "TERM",
    "TERMINFO", "TERMINFO_DIRS", "TERM_URLS", "COLORTERM", "CLICOLOR*", "NO_COLOR", "SECURECC_*", "KRB5CCNAME",
    "KRB5_CONFIG", "KRB5_CLIENT_KTNAME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "CLANG_NO_DEFAULT_CONFIG",
    "FORCE_CLANG_DIAGNOSTICS_CRASH", "AS_SECURE_LOG_FILE", "LLVM_OVERRIDE_PRODUCER", "RC_DEBUG_OPTIONS",
};

static bool is_listed(const char *entry)
{
    size_t name = strcspn(entry, "=");
    if (entry[name] == 0)
        return false;
    for (size_t i = 0; i < sizeof listed / sizeof *listed; i++) {
        size_t size = strlen(listed[i]);
        if (listed[i][size - 1] == '*' ? name >= size - 1 && strncmp(entry, listed[i], size - 1) == 0
                                       : name == size && strncmp(entry, listed[i], size) == 0)
            return true;
    }
    return false;
}

static void put_list(struct packet *packet, char **entries, bool (*wanted)(const char *))
{
    uint32_t count = 0;
    for (char **entry = entries; *entry != NULL; entry++)
        count += wanted == NULL || wanted(*entry);
    packet_u32(packet, count);
    for (char **entry = entries; *entry != NULL; entry++)
        if (wanted == NULL || wanted(*entry))
            packet_string(packet, *entry);
}

/* The names of all other variables, each with its '=': whether one is set may count, its value stays here. */
static void put_other_names(struct packet *packet)
{
    uint32_t size = 0;
    for (char **entry = environ; *entry != NULL; entry++)
        if (strchr(*entry, '=') != NULL && !is_listed(*entry))
            size += (uint32_t)strcspn(*entry, "=") + 1;
    packet_u32(packet, size);
    for (char **entry = environ; *entry != NULL; entry++)
        if (strchr(*entry, '=') != NULL && !is_listed(*entry))
            packet_bytes(packet, *entry, strcspn(*entry, "=") + 1);
}

static void put_terminal(struct packet *packet)
{
    struct winsize size = {0};
    bool input = isatty(0), error = isatty(2);
    if ((input || error) && ioctl(input ? 0 : 2, TIOCGWINSZ, &size) != 0)
        size = (struct winsize){0};
    packet_u32(packet, (input ? 1u : 0u) | (error ? 2u : 0u));
    packet_u32(packet, size.ws_col);
    packet_u32(packet, size.ws_row);
}

/* Whether a path leads to the working directory: something may have been mounted over it since it was entered. */
static bool leads_here(const char *path)
{
    struct stat here, there;
    return stat(".", &here) == 0 && stat(path, &there) == 0 && here.st_dev == there.st_dev &&
           here.st_ino == there.st_ino;
}

bool request_send(int connection, const struct compile *compile)
{
    char cwd[PATH_MAX];
    if (getcwd(cwd, sizeof cwd) == NULL || cwd[0] != '/')
        return false;
    mode_t mask = umask(0);
    umask(mask);
    struct packet packet;
    packet_open(&packet, FRAME_REQUEST);
    packet_u32(&packet, PROTOCOL_VERSION);
    packet_u32(&packet, mask);
    packet_u32(&packet, (uint32_t)getppid());
    put_terminal(&packet);
    packet_string(&packet, leads_here(cwd) ? cwd : "");
    packet_string(&packet, compile->path);
    put_list(&packet, compile->arguments, NULL);
    put_list(&packet, environ, is_listed);
    put_other_names(&packet);
    return packet_send(&packet, connection);
}
