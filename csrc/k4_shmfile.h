/* The files behind a segment, from the writer's side: lock, wait page, and the segment's own file made under another name first.
 * Only k4_segment.c uses this. Functions return 0 (or an fd) or -(k4_status) with a sentence in `error`. */
#ifndef K4_SHMFILE_H
#define K4_SHMFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct k4_shm_wait;

struct k4_shmfile_paths {
    char segment[640];
    char lock[640];
    char wait[640];
    char fresh[640]; /* what the segment is called until it is complete */
};

int k4_shmfile_paths(struct k4_shmfile_paths *paths, const char *dir, const char *name, char *error, size_t size);
/* Takes the writer's lock for as long as the fd stays open, and writes our pid into the file. *created: the file is new. */
int k4_shmfile_lock(const char *path, const char *name, uint32_t mode, bool *created, char *error, size_t size);
/* Maps the wait page, making it where there is none that can be used. */
int k4_shmfile_wait(const struct k4_shmfile_paths *paths, uint32_t mode, struct k4_shm_wait **page, bool *created, char *error, size_t size);
/* Makes the file `path` of `bytes` zero bytes, every page of it there, mapped and touched. Nothing is left of it on failure. */
int k4_shmfile_create(const char *path, uint64_t bytes, uint32_t mode, void **map, char *error, size_t size);

#endif
