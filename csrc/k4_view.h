/* A reader for Python: k4_api.h declares what it does, this says what it is. */
#ifndef K4_VIEW_H
#define K4_VIEW_H

#include "k4_reader.h"

#include "k4_api.h"

struct k4_view {
    struct k4_reader reader;
};

#endif
