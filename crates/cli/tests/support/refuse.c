/* A system that refuses what it is asked for: while the file that REFUSE names holds "CALL NUMBER PART", that call fails
 * with that error number for files with that part in their path. CALL is "change" (making, writing, removing), "sync", or
 * "full" (writing, until a file "reserve" of that path is removed or made shorter). To be loaded with LD_PRELOAD.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int is_refused(const char *call, const char *path) {
    char refused[16], part[256];
    int number, is_refused = 0;
    FILE *file = fopen(getenv("REFUSE"), "r");
    if (!file) return 0;
    if (fscanf(file, "%15s %d %255s", refused, &number, part) == 3 && !strcmp(refused, call) && strstr(path, part)) {
        is_refused = 1;
        errno = number;
    }
    int kept = errno;
    fclose(file);
    errno = kept;
    return is_refused;
}

static int path_of(int file, char path[4096]) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, 4095);
    path[length < 0 ? 0 : length] = 0;
    return length > 0;
}

static int is_refused_for(const char *call, int file) {
    char path[4096];
    return path_of(file, path) && is_refused(call, path);
}

int open64(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    va_end(more);
    if (flags & O_CREAT && is_refused("change", path)) return -1;
    return NEXT(open64)(path, flags, mode);
}

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t place) {
    if (is_refused_for("change", file) || is_refused_for("full", file)) return -1;
    return NEXT(pwrite64)(file, bytes, length, place);
}

/* Whether that made room. */
static void gives_room(const char *path) {
    const char *name = strrchr(path, '/');
    if (name && !strcmp(name, "/reserve") && is_refused("full", path)) NEXT(unlink)(getenv("REFUSE"));
}

int ftruncate64(int file, off64_t length) {
    char path[4096];
    if (path_of(file, path)) gives_room(path);
    return NEXT(ftruncate64)(file, length);
}

int unlink(const char *path) {
    if (is_refused("change", path)) return -1;
    gives_room(path);
    return NEXT(unlink)(path);
}

int fsync(int file) {
    if (is_refused_for("sync", file)) return -1;
    return NEXT(fsync)(file);
}

int fdatasync(int file) {
    if (is_refused_for("sync", file)) return -1;
    return NEXT(fdatasync)(file);
}
