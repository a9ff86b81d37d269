/* Preloaded: a write to a plain file takes only a part of what it is given, as write(2) may.

   CHAOS_SHORT_SEED: which parts. CHAOS_SHORT_COUNT: a file of eight bytes that counts them.
   A part is never nothing, so whoever asks again and again gets through. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static uint64_t unseen, *count = &unseen, state = 1;

__attribute__((constructor)) static void begin(void)
{
    const char *seed = getenv("CHAOS_SHORT_SEED"), *path = getenv("CHAOS_SHORT_COUNT");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *page;

    if (seed)
        state = strtoull(seed, NULL, 10) * 2654435769u + 1;
    if (fd < 0)
        return;
    page = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page != MAP_FAILED)
        count = page;
    close(fd);
}

/* How much of `size` is to be taken. */
static size_t part(int fd, size_t size)
{
    struct stat found;

    if (size < 2 || fstat(fd, &found) || !S_ISREG(found.st_mode))
        return size;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    if (state % 4 == 0)
        return size;
    __atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
    return 1 + (state >> 8) % (size - 1);
}

ssize_t write(int fd, const void *data, size_t size)
{
    static ssize_t (*real)(int, const void *, size_t);

    if (!real)
        real = dlsym(RTLD_NEXT, "write");
    return real(fd, data, part(fd, size));
}

ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset)
{
    static ssize_t (*real)(int, const void *, size_t, off_t);

    if (!real)
        real = dlsym(RTLD_NEXT, "pwrite64");
    return real(fd, data, part(fd, size), offset);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    return pwrite64(fd, data, size, offset);
}

/* The first buffer alone, or a part of it. */
ssize_t writev(int fd, const struct iovec *parts, int number)
{
    static ssize_t (*real)(int, const struct iovec *, int);
    struct stat found;

    if (!real)
        real = dlsym(RTLD_NEXT, "writev");
    if (number < 1 || fstat(fd, &found) || !S_ISREG(found.st_mode))
        return real(fd, parts, number);
    return write(fd, parts[0].iov_base, parts[0].iov_len);
}
