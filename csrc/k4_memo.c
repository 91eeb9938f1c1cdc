#include "k4_memo.h"

#include <stdlib.h>

int k4_memo_init(struct k4_memo *memo)
{
    memset(memo, 0, sizeof *memo);
    memo->ring = aligned_alloc(K4_MEMO_LINE, K4_MEMO_BYTES);
    memo->head = 2 * K4_MEMO_BYTES; /* past the reach of a new cursor */
    return memo->ring != NULL ? 0 : -1;
}

void k4_memo_fini(struct k4_memo *memo)
{
    free(memo->ring);
    memo->ring = NULL;
}
