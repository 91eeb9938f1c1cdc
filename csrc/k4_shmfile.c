#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "k4_shmfile.h"

#include <sys/statvfs.h>

#include "k4_reader.h"

#define fail k4_reader_fail

int k4_shmfile_paths(struct k4_shmfile_paths *paths, const char *dir, const char *name, char *error, size_t size)
{
    if (!k4_shm_name_ok(name))
        return -fail(error, size, K4_BAD_NAME, "\"%.80s\" is not a segment's name (letters, digits, _ - . and at most %d of them)", name, K4_SHM_NAME_MAX);
    if (strlen(dir) > 500)
        return -fail(error, size, K4_BAD_NAME, "the directory's name is too long: %.80s...", dir);
    (void)snprintf(paths->segment, sizeof paths->segment, "%s/k4.%s", dir, name);
    (void)snprintf(paths->lock, sizeof paths->lock, "%s/k4.%s.lock", dir, name);
    (void)snprintf(paths->wait, sizeof paths->wait, "%s/k4.%s.wait", dir, name);
    (void)snprintf(paths->fresh, sizeof paths->fresh, "%s/k4.%s.new", dir, name);
    return 0;
}

static int full(const char *path, uint64_t bytes, char *error, size_t size)
{
    struct statvfs about;
    char dir[640];
    (void)snprintf(dir, sizeof dir, "%s", path);
    char *slash = strrchr(dir, '/');
    if (slash != NULL)
        *slash = 0;
    uint64_t left = statvfs(dir, &about) == 0 ? (uint64_t)about.f_bavail * about.f_frsize : 0;
    return -fail(error, size, K4_NO_SPACE, "%s is full: %s needs %llu bytes, %llu are free; free some, enlarge it, or ask for less (ring_slots, symbol_capacity)",
                 dir, path, (unsigned long long)bytes, (unsigned long long)left);
}

/* A new file that nobody else made. An fd, or -(k4_status). */
static int make(const char *path, uint32_t mode, char *error, size_t size)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, (mode_t)mode);
    if (fd < 0) {
        int why = errno;
        if (why == ENOSPC)
            return full(path, 4096, error, size);
        return -fail(error, size, why == EACCES || why == EPERM || why == EROFS ? K4_REFUSED_FILE : K4_SYSTEM, "%s cannot be created: %s", path, strerror(why));
    }
    if (fchmod(fd, (mode_t)mode) != 0) { /* whatever the umask is */
        (void)close(fd);
        (void)unlink(path);
        return -fail(error, size, K4_SYSTEM, "%s cannot be given mode %03o", path, mode);
    }
    return fd;
}

static int lock_busy(int fd, const char *name, char *error, size_t size)
{
    char text[64] = "";
    ssize_t got = pread(fd, text, sizeof text - 1, 0);
    long long pid = got > 0 ? strtoll(text, NULL, 10) : 0;
    if (pid > 0)
        return -fail(error, size, K4_LOCKED, "segment %s has a writer already: process %lld; stop it first, or use another name", name, pid);
    return -fail(error, size, K4_LOCKED, "segment %s has a writer already; stop it first, or use another name", name);
}

/* Opens or makes the lock file. `lock` is never unlinked, but a failed first start takes its own away again; so what was opened
 * is compared with what stands there once it is locked. */
int k4_shmfile_lock(const char *path, const char *name, uint32_t mode, bool *created, char *error, size_t size)
{
    for (int turn = 0; turn < 16; turn++) {
        struct stat mine, there;
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        *created = false;
        int fd = k4_shm_open_file(path, O_RDWR, &mine, error, size);
        if (fd == -K4_NO_SEGMENT) {
            fd = make(path, mode, error, size);
            if (fd == -K4_SYSTEM && access(path, F_OK) == 0)
                continue; /* somebody else was faster */
            if (fd >= 0 && fstat(fd, &mine) != 0) {
                (void)close(fd);
                return -fail(error, size, K4_SYSTEM, "%s cannot be looked at: %s", path, strerror(errno));
            }
            *created = fd >= 0;
        }
        if (fd < 0)
            return fd;
        if (fcntl(fd, F_OFD_SETLK, &lock) != 0) {
            int status = errno == EAGAIN || errno == EACCES ? lock_busy(fd, name, error, size)
                                                            : -fail(error, size, K4_SYSTEM, "%s cannot be locked: %s", path, strerror(errno));
            (void)close(fd);
            return status;
        }
        if (lstat(path, &there) != 0 || there.st_ino != mine.st_ino || there.st_dev != mine.st_dev) {
            (void)close(fd);
            continue;
        }
        char text[64] = "";
        int len = snprintf(text, sizeof text, "%lld %llu", (long long)getpid(), (unsigned long long)k4_shm_process_start(getpid()));
        memset(text + len, ' ', sizeof text - (size_t)len);
        text[sizeof text - 1] = '\n';
        if (pwrite(fd, text, sizeof text, 0) != (ssize_t)sizeof text) {
            int status = errno == ENOSPC ? full(path, 4096, error, size) : -fail(error, size, K4_SYSTEM, "%s cannot be written: %s", path, strerror(errno));
            if (*created)
                (void)unlink(path);
            (void)close(fd);
            return status;
        }
        return fd;
    }
    return -fail(error, size, K4_LOCKED, "%s is made and removed by somebody else all the time", path);
}

int k4_shmfile_create(const char *path, uint64_t bytes, uint32_t mode, void **map, char *error, size_t size)
{
    (void)unlink(path); /* left by a writer killed while it made it: we hold the lock, so it is nobody's */
    int fd = make(path, mode, error, size);
    if (fd < 0)
        return fd;
    int why = posix_fallocate(fd, 0, (off_t)bytes); /* full now, or never: a page that is missing later would be a SIGBUS */
    if (why == 0) {
        *map = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
        (void)close(fd);
        if (*map != MAP_FAILED)
            return 0;
        why = errno;
        (void)unlink(path);
        return -fail(error, size, K4_NO_MEMORY, "%s cannot be mapped (%llu bytes): %s", path, (unsigned long long)bytes, strerror(why));
    }
    (void)close(fd);
    (void)unlink(path);
    if (why == ENOSPC || why == EFBIG)
        return full(path, bytes, error, size);
    return -fail(error, size, K4_SYSTEM, "%s cannot be given %llu bytes: %s", path, (unsigned long long)bytes, strerror(why));
}

int k4_shmfile_wait(const struct k4_shmfile_paths *paths, uint32_t mode, struct k4_shm_wait **page, bool *created, char *error, size_t size)
{
    struct stat about;
    void *map;
    *created = false;
    /* A link or a foreign file in its place is refused; a file of ours that is no wait page is replaced. */
    int fd = k4_shm_open_file(paths->wait, O_RDWR, &about, error, size);
    if (fd < 0 && fd != -K4_NO_SEGMENT)
        return fd;
    if (fd >= 0) {
        (void)fchmod(fd, (mode_t)(mode | (mode & 0044) >> 1));
        (void)close(fd);
    }
    *page = k4_shm_map_wait(paths->wait);
    if (*page != NULL)
        return 0;
    /* Who may read the segment may write here. */
    int status = k4_shmfile_create(paths->fresh, 4096, mode | (mode & 0044) >> 1, &map, error, size);
    if (status != 0)
        return status;
    *page = (struct k4_shm_wait *)map;
    (*page)->magic = K4_WAIT_MAGIC;
    if (rename(paths->fresh, paths->wait) != 0) {
        status = -fail(error, size, K4_SYSTEM, "%s cannot be put in place: %s", paths->wait, strerror(errno));
        (void)munmap(map, 4096);
        (void)unlink(paths->fresh);
        *page = NULL;
        return status;
    }
    *created = true;
    return 0;
}
