/* File operations that go wrong where a test wants: loaded before libc (LD_PRELOAD), it stands between a process and
 * its system calls. One plan at a time, for what lies below one folder; unarmed, everything passes. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

/* The order of both is that of CALLS and ACTS in faulting.py. */
enum call { OPEN, WRITE, FSYNC, RENAME, UNLINK, MKDIR, TRUNCATE, LOCK, READ, CLOSE, CALLS };
enum act { COUNTED, FAILS_ONCE, FAILS_FOR_GOOD, DONE_BUT_FAILS, SHORTENED, DIES_BEFORE, DIES_INSIDE, DIES_AFTER };

static struct { char folder[4096]; size_t length; long place; enum call call; enum act act; int error; } plan;
static long *seen; /* calls of each kind below the folder, and after them how often the plan came true */

__attribute__((constructor)) static void begin(void) {
    /* shared, so that the parent knows what a child that died had done */
    seen = mmap(NULL, (CALLS + 1) * sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

long fault_seen(int call) { return seen[call]; }

void fault_plan(const char *folder, enum call call, long place, enum act act, int error) {
    memset(seen, 0, (CALLS + 1) * sizeof *seen);
    plan.length = 0;
    snprintf(plan.folder, sizeof plan.folder, "%s", folder);
    plan.call = call, plan.place = place, plan.act = act, plan.error = error;
    plan.length = strlen(plan.folder);
}

static int die(void) { return kill(getpid(), SIGKILL), pause(); }

/* What is to happen to this call: COUNTED if nothing is. */
static enum act met(enum call call, int fd, const char *path) {
    char name[4096], link[64];
    if (!plan.length || !seen) return COUNTED;
    if (!path) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t size = readlink(link, name, sizeof name - 1);
        if (size < 0) return COUNTED;
        name[size] = 0, path = name;
    }
    if (strncmp(path, plan.folder, plan.length)) return COUNTED;
    long number = __sync_add_and_fetch(&seen[call], 1);
    int now = number == plan.place || (plan.act == FAILS_FOR_GOOD && number > plan.place);
    if (call != plan.call || !now) return COUNTED;
    __sync_add_and_fetch(&seen[CALLS], 1);
    if (plan.act == DIES_BEFORE) die();
    return plan.act;
}

static int refuses(enum act act) { return (act == FAILS_ONCE || act == FAILS_FOR_GOOD) && (errno = plan.error, 1); }

static long ended(enum act act, long result) {
    if (act == DIES_INSIDE || act == DIES_AFTER) die();
    return act == DONE_BUT_FAILS ? (errno = plan.error, -1) : result;
}

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

#define ON_NAME(call, name, place, parameters, arguments, ...) \
    int name parameters { \
        REAL(int, name, __VA_ARGS__); \
        enum act act = met(call, -1, place); \
        return refuses(act) ? -1 : (int)ended(act, real arguments); \
    }

#define ON_FILE(call, name, parameters, arguments, ...) \
    int name parameters { \
        REAL(int, name, __VA_ARGS__); \
        enum act act = met(call, fd, NULL); \
        return refuses(act) ? -1 : (int)ended(act, real arguments); \
    }

#define ON_OPEN(name, parameters, arguments, ...) \
    int name parameters { \
        REAL(int, name, __VA_ARGS__); \
        mode_t mode = 0; \
        if (flags & (O_CREAT | O_TMPFILE)) { \
            va_list rest; \
            va_start(rest, flags); \
            mode = va_arg(rest, mode_t); \
            va_end(rest); \
        } \
        enum act act = met(OPEN, -1, path); \
        return refuses(act) ? -1 : (int)ended(act, real arguments); \
    }

ON_OPEN(open, (const char *path, int flags, ...), (path, flags, mode), const char *, int, ...)
ON_OPEN(open64, (const char *path, int flags, ...), (path, flags, mode), const char *, int, ...)
ON_OPEN(openat, (int at, const char *path, int flags, ...), (at, path, flags, mode), int, const char *, int, ...)
ON_OPEN(openat64, (int at, const char *path, int flags, ...), (at, path, flags, mode), int, const char *, int, ...)
ON_NAME(RENAME, rename, to, (const char *from, const char *to), (from, to), const char *, const char *)
ON_NAME(UNLINK, unlink, path, (const char *path), (path), const char *)
ON_NAME(MKDIR, mkdir, path, (const char *path, mode_t mode), (path, mode), const char *, mode_t)
ON_FILE(FSYNC, fsync, (int fd), (fd), int)
ON_FILE(TRUNCATE, ftruncate, (int fd, off_t length), (fd, length), int, off_t)
ON_FILE(TRUNCATE, ftruncate64, (int fd, off64_t length), (fd, length), int, off64_t)
ON_FILE(LOCK, flock, (int fd, int how), (fd, how), int, int)

int close(int fd) {
    REAL(int, close, int);
    enum act act = met(CLOSE, fd, NULL);
    int result = real(fd); /* a descriptor is gone, whatever close says */
    return refuses(act) ? -1 : (int)ended(act, result);
}

ssize_t write(int fd, const void *content, size_t size) {
    REAL(ssize_t, write, int, const void *, size_t);
    enum act act = met(WRITE, fd, NULL);
    if (refuses(act)) return -1;
    if ((act == SHORTENED || act == DIES_INSIDE) && size > 1) size /= 2;
    return ended(act, real(fd, content, size));
}

ssize_t read(int fd, void *content, size_t size) {
    REAL(ssize_t, read, int, void *, size_t);
    enum act act = met(READ, fd, NULL);
    if (refuses(act)) return -1;
    if (act == SHORTENED && size > 1) size /= 2;
    return ended(act, real(fd, content, size));
}
