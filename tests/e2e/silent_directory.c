/* Preloaded: nothing in the directory SILENT_DIRECTORY can be opened, asked for, renamed or removed
   while the file SILENT_WHILE exists: the call does not return, as on a file server that is gone. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void wait_for_server(const char *path)
{
    const char *directory = getenv("SILENT_DIRECTORY"), *mark = getenv("SILENT_WHILE");

    if (!directory || !mark || !path || strncmp(path, directory, strlen(directory)) != 0)
        return;
    while (NEXT(access)(mark, F_OK) == 0)
        usleep(10000);
}

#define OPENED(name)                                     \
    int name(const char *path, int flags, ...)           \
    {                                                    \
        va_list more;                                    \
        mode_t mode = 0;                                 \
        if (flags & O_CREAT) {                           \
            va_start(more, flags);                       \
            mode = va_arg(more, mode_t);                 \
            va_end(more);                                \
        }                                                \
        wait_for_server(path);                           \
        return NEXT(name)(path, flags, mode);            \
    }

OPENED(open)
OPENED(open64)

#define ASKED(name, type)                                \
    int name(const char *path, struct type *found)       \
    {                                                    \
        wait_for_server(path);                           \
        return NEXT(name)(path, found);                  \
    }

ASKED(stat, stat)
ASKED(stat64, stat64)

int access(const char *path, int mode)
{
    wait_for_server(path);
    return NEXT(access)(path, mode);
}

int rename(const char *old, const char *new)
{
    wait_for_server(old);
    return NEXT(rename)(old, new);
}

int unlink(const char *path)
{
    wait_for_server(path);
    return NEXT(unlink)(path);
}
