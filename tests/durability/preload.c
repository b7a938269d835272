/* Preloaded (LD_PRELOAD) into a program under test: counts its calls that change files below a folder, and lets one of them
   go wrong.

   CRASH_FOLDER  the folder, absolute
   CRASH_AT      the number of the call, from 1
   CRASH_HOW     count  nothing goes wrong
                 kill   the program is killed instead of the call
                 half   of a write, half is done, and the program is killed; other calls: as kill
                 fail   the call fails (disk full); the next ones do not
                 short  of a write, half is done, and all calls from the next on fail (disk full); other calls: as fail
   CRASH_LOG     a line for each call: its number, what it is, the file */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

enum outcome { GO_ON, FAIL, HALF };

static int is_below(const char *path) {
    const char *folder = getenv("CRASH_FOLDER");
    char absolute[2 * PATH_MAX], here[PATH_MAX];
    if (!folder || !path) return 0;
    if (path[0] != '/') {
        if (!getcwd(here, sizeof here)) return 0;
        snprintf(absolute, sizeof absolute, "%s/%s", here, path);
        path = absolute;
    }
    size_t length = strlen(folder);
    return !strncmp(path, folder, length) && (path[length] == '/' || !path[length]);
}

static int name_of(int file, char *path, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, size - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_below(path);
}

static void end(void) {
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
}

static enum outcome meet(const char *call, const char *path, int is_write) {
    static int count, is_full;
    const char *at = getenv("CRASH_AT"), *how = getenv("CRASH_HOW"), *log = getenv("CRASH_LOG");
    int number = __sync_add_and_fetch(&count, 1);
    if (log) {
        char line[PATH_MAX + 64];
        int length = snprintf(line, sizeof line, "%d %s %s\n", number, call, path);
        int file = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        syscall(SYS_write, file, line, length);
        syscall(SYS_close, file);
    }
    errno = ENOSPC;
    if (is_full) return FAIL;
    if (!at || !how || atoi(at) != number || !strcmp(how, "count")) return GO_ON;
    if (!strcmp(how, "kill") || (!strcmp(how, "half") && !is_write)) end();
    if (!strcmp(how, "half")) return HALF;
    if (!strcmp(how, "short")) {
        is_full = 1;
        if (is_write) return HALF;
    }
    return FAIL;
}

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, #name)

ssize_t write(int file, const void *bytes, size_t length) {
    REAL(ssize_t, write, int, const void *, size_t);
    char path[PATH_MAX];
    if (!name_of(file, path, sizeof path)) return real(file, bytes, length);
    switch (meet("write", path, 1)) {
    case FAIL: return -1;
    case HALF: {
        ssize_t written = real(file, bytes, length > 1 ? length / 2 : length);
        const char *how = getenv("CRASH_HOW");
        if (how && !strcmp(how, "half")) end();
        return written;
    }
    default: return real(file, bytes, length);
    }
}

#define ON_FILE(name) \
    int name(int file) { \
        REAL(int, name, int); \
        char path[PATH_MAX]; \
        return name_of(file, path, sizeof path) && meet(#name, path, 0) == FAIL ? -1 : real(file); \
    }
ON_FILE(fsync)
ON_FILE(fdatasync)

#define ON_PATH(name) \
    int name(const char *path) { \
        REAL(int, name, const char *); \
        return is_below(path) && meet(#name, path, 0) == FAIL ? -1 : real(path); \
    }
ON_PATH(unlink)
ON_PATH(rmdir)

#define ON_PATH_WITH_MODE(name) \
    int name(const char *path, mode_t mode) { \
        REAL(int, name, const char *, mode_t); \
        return is_below(path) && meet(#name, path, 0) == FAIL ? -1 : real(path, mode); \
    }
ON_PATH_WITH_MODE(mkdir)
ON_PATH_WITH_MODE(chmod)

int rename(const char *from, const char *to) {
    REAL(int, rename, const char *, const char *);
    return is_below(to) && meet("rename", to, 0) == FAIL ? -1 : real(from, to);
}

#define TRUNCATE(name) \
    int name(int file, off_t length) { \
        REAL(int, name, int, off_t); \
        char path[PATH_MAX]; \
        return name_of(file, path, sizeof path) && meet(#name, path, 0) == FAIL ? -1 : real(file, length); \
    }
TRUNCATE(ftruncate)
TRUNCATE(ftruncate64)

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(int, name, const char *, int, ...); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = va_arg(rest, mode_t); \
        va_end(rest); \
        int writes = flags & (O_WRONLY | O_RDWR); \
        return writes && is_below(path) && meet("open", path, 0) == FAIL ? -1 : real(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)
