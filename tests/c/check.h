/* Two ways to say what a test expects. A test's main returns `check_failures != 0`. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>

static int check_failures;

#define CHECK(condition)                                                   \
    do {                                                                   \
        if (!(condition)) {                                                \
            check_failures++;                                              \
            printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
        }                                                                  \
    } while (0)

#define EQUAL(a, b)                                                                                                \
    do {                                                                                                           \
        long long a_ = (long long)(a), b_ = (long long)(b);                                                        \
        if (a_ != b_) {                                                                                            \
            check_failures++;                                                                                      \
            printf("%s:%d: %s is %lld, expected %s = %lld\n", __FILE__, __LINE__, #a, a_, #b, b_);                 \
        }                                                                                                          \
    } while (0)

#endif
