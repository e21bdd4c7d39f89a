/* A disk that refuses, for tests: LD_PRELOAD it, and the k-th call of a process that changes a file fails.

   REFUSE_UNDER   only files below this folder count
   REFUSE_AT      k, from 1; 0: none
   REFUSE_HOW     EIO or ENOSPC: this call alone; short: half of a write is done, which is no error;
                  full: ENOSPC from this call on, for all that needs room; readonly: EROFS from this call on, for all;
                  cut: the process ends before it, by SIGKILL
   REFUSE_COUNT   a file that gets a line for each such call: its name and file, and "failed" where it was in vain;
                  of a flush the file's length then, of a rename the new name and whether there was one already;
                  and a line "refused" for each that was refused                                                   */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST = 4096, LONGEST = 4096 };
static char *ours[MOST]; /* names by descriptor, of files below the folder that were opened to be written */
static long calls;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int below(const char *path) {
    const char *folder = getenv("REFUSE_UNDER");
    return folder && path && !strncmp(path, folder, strlen(folder));
}

static const char *name_of(int descriptor) {
    return descriptor >= 0 && descriptor < MOST ? ours[descriptor] : NULL;
}

static int is(const char *how) {
    const char *chosen = getenv("REFUSE_HOW");
    return chosen && !strcmp(chosen, how);
}

/* Say in the journal that a call was made on one of our files; errno stays. */
static void made(const char *name, int succeeded, const char *path, const char *more) {
    const char *kept = getenv("REFUSE_COUNT");
    int saved = errno;
    if (kept && path) {
        char line[3 * LONGEST];
        int length = snprintf(line, sizeof line, "%s\t%s\t%s\n", name, path, succeeded ? more : "failed");
        int file = REAL(open)(kept, O_WRONLY | O_CREAT | O_APPEND, 0600);
        if (file >= 0) {
            if (REAL(write)(file, line, length) < 0) { /* a line less is no harm */ }
            REAL(close)(file);
        }
    }
    errno = saved;
}

/* Whether a call is refused; errno is set then.  `needs_room`: a full disk refuses it. */
static int refused(int needs_room) {
    const char *at = getenv("REFUSE_AT");
    pthread_mutex_lock(&lock);
    long number = ++calls;
    pthread_mutex_unlock(&lock);
    long k = at ? atol(at) : 0;
    int from_here_on = is("full") || is("readonly");
    if (!k || number < k || (number > k && !from_here_on) || (is("full") && !needs_room)) return 0;
    if (is("cut")) kill(getpid(), SIGKILL);
    made("refused", 1, "", "");
    errno = is("readonly") ? EROFS : is("full") || is("ENOSPC") ? ENOSPC : EIO;
    return 1;
}

/* Only a write can end half done; other calls are not counted then. */
static int is_refused(int needs_room) { return !is("short") && refused(needs_room); }

static int opened(int descriptor, const char *path, int flags) {
    int counts = below(path) && (flags & O_ACCMODE) != O_RDONLY;
    if (counts) made("open", descriptor >= 0, path, flags & O_TRUNC ? "emptied" : "");
    if (descriptor >= 0 && descriptor < MOST) {
        free(ours[descriptor]);
        ours[descriptor] = counts ? strdup(path) : NULL;
    }
    return descriptor;
}

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...) {                                                   \
        va_list more;                                                                              \
        va_start(more, flags);                                                                     \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;                    \
        va_end(more);                                                                              \
        if (below(path) && (flags & O_ACCMODE) != O_RDONLY && is_refused(flags & O_CREAT)) return -1; \
        return opened(REAL(name)(path, flags, mode), path, flags);                                 \
    }
OPEN(open)
OPEN(open64)

/* What is written of `count` bytes; -1 where the call is refused. */
static ssize_t allowed(int descriptor, size_t count) {
    if (!name_of(descriptor) || !refused(1)) return count;
    return !is("short") ? -1 : count > 1 ? (ssize_t)(count / 2) : (ssize_t)count;
}

ssize_t write(int descriptor, const void *bytes, size_t count) {
    ssize_t most = allowed(descriptor, count);
    ssize_t found = most < 0 ? -1 : REAL(write)(descriptor, bytes, most);
    made("write", found >= 0, name_of(descriptor), "");
    return found;
}

#define PWRITE(name, offset_t)                                                           \
    ssize_t name(int descriptor, const void *bytes, size_t count, offset_t offset) {     \
        ssize_t most = allowed(descriptor, count);                                       \
        ssize_t found = most < 0 ? -1 : REAL(name)(descriptor, bytes, most, offset);     \
        made("write", found >= 0, name_of(descriptor), "");                          \
        return found;                                                                    \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define TRUNCATE(name, offset_t)                                                 \
    int name(int descriptor, offset_t length) {                                  \
        if (name_of(descriptor) && is_refused(1)) return -1;                     \
        int found = REAL(name)(descriptor, length);                              \
        made("truncate", !found, name_of(descriptor), "");                   \
        return found;                                                            \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

int fsync(int descriptor) { /* of files and folders, which are opened to be read only */
    char link[64], path[LONGEST], length[32];
    struct stat found;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t letters = readlink(link, path, sizeof path - 1);
    path[letters > 0 ? letters : 0] = 0;
    if (!below(path)) return REAL(fsync)(descriptor);
    if (is_refused(0)) return -1;
    int flushed = REAL(fsync)(descriptor);
    snprintf(length, sizeof length, "%lld", fstat(descriptor, &found) ? 0LL : (long long)found.st_size);
    made("fsync", !flushed, path, length);
    return flushed;
}

int rename(const char *from, const char *to) {
    char more[LONGEST + 16];
    if (!below(to)) return REAL(rename)(from, to);
    if (is_refused(0)) return -1;
    snprintf(more, sizeof more, "%s\t%s", to, access(to, F_OK) ? "new" : "replaced");
    int found = REAL(rename)(from, to);
    made("rename", !found, from, more);
    return found;
}

int mkdir(const char *path, mode_t mode) {
    if (below(path) && is_refused(1)) return -1;
    int found = REAL(mkdir)(path, mode);
    if (below(path)) made("mkdir", !found, path, "");
    return found;
}

int unlink(const char *path) {
    if (below(path) && is_refused(0)) return -1;
    int found = REAL(unlink)(path);
    if (below(path)) made("unlink", !found, path, "");
    return found;
}

int close(int descriptor) { /* refused, a descriptor is closed all the same: so does Linux */
    char *name = descriptor >= 0 && descriptor < MOST ? ours[descriptor] : NULL;
    int no = name && is_refused(0), reason = errno;
    if (name) ours[descriptor] = NULL;
    int found = REAL(close)(descriptor);
    if (!no) made("close", !found, name, "");
    free(name);
    if (no) errno = reason;
    return no ? -1 : found;
}
