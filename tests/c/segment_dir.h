/* A directory for the segments of one test program, in memory where there is /dev/shm. */
#ifndef SEGMENT_DIR_H
#define SEGMENT_DIR_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "k4_api.h"

static char segment_dir_path[64];

static inline const char *segment_dir_make(void)
{
    (void)snprintf(segment_dir_path, sizeof segment_dir_path, "%s/k4-test-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (mkdtemp(segment_dir_path) == NULL) {
        perror(segment_dir_path);
        exit(1);
    }
    k4_shm_dir_set(segment_dir_path);
    return segment_dir_path;
}

static inline void segment_dir_remove(void)
{
    DIR *files = opendir(segment_dir_path);
    for (struct dirent *file; files != NULL && (file = readdir(files)) != NULL;) {
        char path[400];
        (void)snprintf(path, sizeof path, "%s/%s", segment_dir_path, file->d_name);
        (void)unlink(path);
    }
    if (files != NULL)
        (void)closedir(files);
    (void)rmdir(segment_dir_path);
}

#endif
