/* What a process makes durable, and what that was then: fsync and fdatasync write a line each to the file that
 * SYNC_LOG names. To be loaded with LD_PRELOAD.
 *
 *   file BYTES PATH
 *   folder PATH NAME... (its entries, each ends with a slash)
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void write_line(const char *line, size_t length) {
    int log = open(getenv("SYNC_LOG"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (log < 0 || write(log, line, length) != (ssize_t)length) abort();
    close(log);
}

static void list(FILE *line, const char *path) {
    DIR *folder = opendir(path);
    if (!folder) abort();
    for (struct dirent *entry; (entry = readdir(folder));) fprintf(line, " %s/", entry->d_name);
    closedir(folder);
}

static void note(int file) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    struct stat status;
    if (length < 0 || fstat(file, &status) != 0) abort();
    path[length] = 0;
    char *text;
    size_t size;
    FILE *line = open_memstream(&text, &size);
    if (S_ISDIR(status.st_mode)) {
        fprintf(line, "folder %s", path);
        list(line, path);
    } else {
        fprintf(line, "file %lld %s", (long long)status.st_size, path);
    }
    fputc('\n', line);
    fclose(line);
    write_line(text, size);
    free(text);
}

static int sync_by(const char *name, int file) {
    int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    int outcome = next(file);
    if (outcome == 0) note(file);
    return outcome;
}

int fsync(int file) { return sync_by("fsync", file); }
int fdatasync(int file) { return sync_by("fdatasync", file); }
