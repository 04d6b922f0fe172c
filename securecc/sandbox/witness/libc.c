#define _GNU_SOURCE
#include "libc.h"

#include <dlfcn.h>
#include <link.h>
#include <stdint.h>

enum { LEAST_ERROR = -4095 /* results below are values, such as addresses */ };

extern int *__errno_location(void) WEAK;
extern char *program_invocation_short_name WEAK;
extern int dl_iterate_phdr(int (*)(struct dl_phdr_info *, size_t, void *), void *) WEAK;
extern void *dlsym(void *restrict, const char *restrict) WEAK;

long returned(long result)
{
    if (result >= 0 || result < LEAST_ERROR)
        return result;
    if (__errno_location)
        *__errno_location() = (int)-result;
    return -1;
}

void *behind(const char *name) { return dlsym ? dlsym(RTLD_NEXT, name) : NULL; }

struct search {
    uintptr_t address;
    const char *name;
};

static int look_at(struct dl_phdr_info *object, size_t size, void *data)
{
    struct search *search = data;
    (void)size;
    for (size_t at = 0; at < object->dlpi_phnum; at++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[at];
        if (part->p_type == PT_LOAD && search->address - object->dlpi_addr - part->p_vaddr < part->p_memsz) {
            search->name = object->dlpi_name;
            return 1;
        }
    }
    return 0;
}

const char *asker_at(const void *address)
{
    struct search search = {(uintptr_t)address, NULL};
    if (dl_iterate_phdr)
        dl_iterate_phdr(look_at, &search);
    if (!search.name || search.name[0] == '\0') /* the program itself has no name there */
        return &program_invocation_short_name && program_invocation_short_name ? program_invocation_short_name : "";
    const char *name = search.name;
    for (const char *letter = name; *letter != '\0'; letter++)
        if (*letter == '/')
            name = letter + 1;
    return name;
}

size_t length_of(const char *text)
{
    size_t length = 0;
    while (text[length] != '\0')
        length++;
    return length;
}

int same(const char *text, const char *other)
{
    while (*text != '\0' && *text == *other)
        text++, other++;
    return *text == *other;
}

const char *value_of(const char *variable)
{
    const size_t length = length_of(variable);
    for (char **each = &environ ? environ : NULL; each && *each; each++) {
        size_t at = 0;
        while (at < length && (*each)[at] == variable[at])
            at++;
        if (at == length && (*each)[at] == '=')
            return *each + length + 1;
    }
    return NULL;
}
