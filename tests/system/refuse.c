/* A disk that refuses, for tests: LD_PRELOAD it, and the k-th call of a process that changes a file fails.

   REFUSE_UNDER   only files below this folder count
   REFUSE_AT      k, from 1; 0: none
   REFUSE_HOW     EIO, ENOSPC or short: half of a write is done, which is no error
   REFUSE_COUNT   a file that gets a line for each such call: its name                                               */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST = 4096 };
static char ours[MOST]; /* descriptors of files below the folder, opened to be written */
static long calls;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int below(const char *path) {
    const char *folder = getenv("REFUSE_UNDER");
    return folder && path && !strncmp(path, folder, strlen(folder));
}

static int is_ours(int descriptor) { return descriptor >= 0 && descriptor < MOST && ours[descriptor]; }

static int is_short(void) {
    const char *how = getenv("REFUSE_HOW");
    return how && !strcmp(how, "short");
}

/* Whether this call is the one; errno is set then. */
static int refused(const char *name) {
    const char *at = getenv("REFUSE_AT"), *how = getenv("REFUSE_HOW"), *kept = getenv("REFUSE_COUNT");
    pthread_mutex_lock(&lock);
    long number = ++calls;
    pthread_mutex_unlock(&lock);
    if (kept) {
        int file = REAL(open)(kept, O_WRONLY | O_CREAT | O_APPEND, 0600);
        char line[64];
        int length = snprintf(line, sizeof line, "%s\n", name);
        if (file >= 0) {
            if (REAL(write)(file, line, length) < 0) { /* a count less is no harm */ }
            REAL(close)(file);
        }
    }
    if (!at || number != atol(at)) return 0;
    errno = how && !strcmp(how, "ENOSPC") ? ENOSPC : EIO;
    return 1;
}

static int opened(int descriptor, const char *path, int flags) {
    if (descriptor >= 0 && descriptor < MOST) ours[descriptor] = below(path) && (flags & O_ACCMODE) != O_RDONLY;
    return descriptor;
}

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...) {                                                   \
        va_list more;                                                                              \
        va_start(more, flags);                                                                     \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;                    \
        va_end(more);                                                                              \
        if (below(path) && (flags & O_ACCMODE) != O_RDONLY && !is_short() && refused("open")) return -1; \
        return opened(REAL(name)(path, flags, mode), path, flags);                                 \
    }
OPEN(open)
OPEN(open64)

ssize_t write(int descriptor, const void *bytes, size_t count) {
    if (is_ours(descriptor) && refused("write")) {
        if (!is_short()) return -1;
        count = count > 1 ? count / 2 : count;
    }
    return REAL(write)(descriptor, bytes, count);
}

#define PWRITE(name, offset_t)                                                           \
    ssize_t name(int descriptor, const void *bytes, size_t count, offset_t offset) {     \
        if (is_ours(descriptor) && refused("write")) {                                   \
            if (!is_short()) return -1;                                                  \
            count = count > 1 ? count / 2 : count;                                       \
        }                                                                                \
        return REAL(name)(descriptor, bytes, count, offset);                             \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

int fsync(int descriptor) { /* of files and folders, which are opened to be read only */
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length > 0 ? length : 0] = 0;
    if (below(path) && !is_short() && refused("fsync")) return -1;
    return REAL(fsync)(descriptor);
}

int rename(const char *from, const char *to) {
    if (below(to) && !is_short() && refused("rename")) return -1;
    return REAL(rename)(from, to);
}

int close(int descriptor) { /* refused, a descriptor is closed all the same: so does Linux */
    int counts = is_ours(descriptor), no = counts && !is_short() && refused("close"), reason = errno;
    if (descriptor >= 0 && descriptor < MOST) ours[descriptor] = 0;
    int done = REAL(close)(descriptor);
    if (no) errno = reason;
    return no ? -1 : done;
}
