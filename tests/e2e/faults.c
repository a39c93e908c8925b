/* A disk that is full or slow, for the program into which this is loaded (LD_PRELOAD).
 *
 * While the directory FAULTS has a file `full`, writes to files whose path contains what is in that file fail with ENOSPC,
 * as they do on a full disk. While it has a file `slow`, syncing any file takes as many milliseconds as that file says.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* What is in a file of FAULTS, without the line's end; 0 if it is not there. */
static int fault(const char *name, char *text, size_t size)
{
    static __thread int inside;
    const char *dir = getenv("FAULTS");
    char path[4096];
    int kept = errno;
    ssize_t length = -1;
    if (!dir || inside)
        return 0;
    inside = 1;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        length = read(fd, text, size - 1);
        close(fd);
    }
    inside = 0;
    errno = kept;
    if (length < 0)
        return 0;
    text[length] = 0;
    text[strcspn(text, "\n")] = 0;
    return 1;
}

static int is_full(int fd)
{
    char part[256], link[64], path[4096];
    if (!fault("full", part, sizeof part))
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    if (path[0] != '/' || !strstr(path, part))
        return 0;
    errno = ENOSPC;
    return 1;
}

static void be_slow(void)
{
    char text[32];
    if (!fault("slow", text, sizeof text))
        return;
    long ms = atol(text);
    struct timespec pause = { ms / 1000, ms % 1000 * 1000000 };
    nanosleep(&pause, 0);
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *bytes, size_t count)
{
    return is_full(fd) ? -1 : NEXT(write)(fd, bytes, count);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return is_full(fd) ? -1 : NEXT(writev)(fd, parts, count);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at)
{
    return is_full(fd) ? -1 : NEXT(pwrite)(fd, bytes, count, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at)
{
    return is_full(fd) ? -1 : NEXT(pwrite64)(fd, bytes, count, at);
}

int fsync(int fd)
{
    be_slow();
    return NEXT(fsync)(fd);
}

int fdatasync(int fd)
{
    be_slow();
    return NEXT(fdatasync)(fd);
}
