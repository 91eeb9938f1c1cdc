/* WebSocket client framing (RFC 6455), sans I/O: bytes in, whole messages out, in place.
 *
 * One region of memory per connection, owned here:
 *
 *     | slack | headroom      tail | read area ...............................  | slack |
 *                             ^at  ^K4_WS_HEADROOM: where the next bytes land
 *
 * Before every read the unfinished tail (an assembled part of a message and the bytes of a frame that is not whole yet) is
 * moved to end just before the read area, so a read nearly always lands at the same address and a frame is always
 * contiguous. A tail longer than the headroom goes to the front of the region instead and the read follows it; only then, and
 * only for a message that does not fit, the region grows, up to message_cap + K4_WS_ROOM. Nothing else allocates.
 *
 * Fragments are joined in place: a fragment's payload moves down to the end of what is assembled, over its own header.
 * Control frames between fragments are answered at once and leave no trace, so endless fragments cost no memory.
 *
 * A failure is final: nothing after the offending byte is looked at. Messages before it were delivered.
 */
#ifndef K4_WS_H
#define K4_WS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "k4_decode.h"

enum {
    K4_WS_REGION = 256 * 1024,
    K4_WS_HEADROOM = 32 * 1024,
    K4_WS_ROOM = 64 * 1024, /* the region exceeds the largest message by at most this */
    K4_WS_CONTROL_MAX = 125,
    K4_WS_WHOLE_TEXT = 0x81, /* first bytes of unfragmented messages */
    K4_WS_WHOLE_BINARY = 0x82,
};

/* What k4_ws_next found. */
enum k4_ws_kind { K4_WS_MORE = 0, K4_WS_TEXT, K4_WS_BINARY, K4_WS_PING, K4_WS_PONG, K4_WS_CLOSE, K4_WS_FAILED };

/* Why a connection had to be failed. The close code follows from it. */
enum k4_ws_cause {
    K4_WS_FINE = 0,
    K4_WS_RESERVED_BITS,     /* 1002 a reserved bit is set and no extension was agreed */
    K4_WS_OPCODE,            /* 1002 reserved opcode */
    K4_WS_MASKED,            /* 1002 a server must not mask */
    K4_WS_CONTROL_LONG,      /* 1002 control frame over 125 bytes */
    K4_WS_CONTROL_FRAGMENT,  /* 1002 control frame without FIN */
    K4_WS_LENGTH,            /* 1002 length not in its shortest form, or with the top bit set */
    K4_WS_ORPHAN,            /* 1002 continuation of nothing */
    K4_WS_INTERLEAVED,       /* 1002 a new message inside an unfinished one */
    K4_WS_CLOSE_PAYLOAD,     /* 1002 close frame with a payload of one byte */
    K4_WS_CLOSE_CODE,        /* 1002 close code that may not be sent */
    K4_WS_TEXT_UTF8,         /* 1007 text that is not UTF-8 */
    K4_WS_CLOSE_UTF8,        /* 1007 close reason that is not UTF-8 */
    K4_WS_TOO_BIG,           /* 1009 message over the cap, fragments added up */
    K4_WS_NO_MEMORY,         /* 1009 the region could not grow */
    K4_WS_CAUSES,
};

struct k4_ws {
    uint8_t *memory;   /* K4_SLACK + capacity + K4_SLACK bytes */
    size_t capacity;
    size_t message_cap;
    size_t at;         /* first byte not consumed; all positions count from memory + K4_SLACK */
    size_t end;        /* behind the last byte received */
    size_t landing;    /* where the bytes of the current read land */
    size_t need;       /* bytes from `at` that the unfinished frame takes in all; 0: not known yet */
    size_t begin;      /* the assembled part of a fragmented message: [begin, begin + joined) */
    size_t joined;
    size_t checked;    /* of which this many bytes are proven UTF-8 */
    uint8_t opcode;    /* of the message being assembled; 0: none */
    uint8_t closed;    /* a close frame has come: what follows is discarded */
    uint8_t cause;     /* enum k4_ws_cause */
    uint64_t frames;   /* whole frames taken, control frames included */
};

/* A message or control frame. `data` lies in the region and holds until the next k4_ws_buffer; K4_SLACK bytes before and
 * after it may be read. CLOSE: `code` is the peer's (1005: none given), data the reason. */
struct k4_ws_frame {
    const uint8_t *data;
    size_t len;
    int code;
};

/* 0, or -1: no memory. message_cap: largest message in bytes, at least 1. */
int k4_ws_init(struct k4_ws *ws, size_t message_cap) __attribute__((warn_unused_result));
void k4_ws_fini(struct k4_ws *ws);
/* A new TCP connection: what was unfinished is forgotten, a failure too. Keeps the region. */
void k4_ws_reset(struct k4_ws *ws);

/* Where the next bytes go, at least 1. */
size_t k4_ws_buffer(struct k4_ws *ws, uint8_t **out);
/* `count` bytes landed there; more than the buffer holds is a caller's mistake and cut to it. */
void k4_ws_landed(struct k4_ws *ws, size_t count);
/* The next message or control frame, K4_WS_MORE when a read is needed, K4_WS_FAILED for good after a violation. */
enum k4_ws_kind k4_ws_next(struct k4_ws *ws, struct k4_ws_frame *out);

static inline uint8_t *k4_ws_base(const struct k4_ws *ws)
{
    return ws->memory + K4_SLACK;
}

/* The usual frame, a whole message of at most 64 KiB outside any fragmented one, in few steps; `first` is its first byte, K4_WS_WHOLE_TEXT
 * or K4_WS_WHOLE_BINARY. True, and text is still to be proven UTF-8, by k4_ws_prove or by a parser that takes nothing else. Anything else,
 * also a frame that is not whole: false, and nothing has changed; k4_ws_next tells what it is. Same as k4_ws_next but for the proof. */
static inline bool k4_ws_usual(struct k4_ws *ws, uint8_t first, struct k4_ws_frame *out)
{
    const size_t have = ws->end - ws->at;
    const uint8_t *p = k4_ws_base(ws) + ws->at;
    if ((ws->opcode | ws->closed | ws->cause) != 0 || have < 4 || p[0] != first)
        return false;
    size_t head = 2, len = p[1];
    if (len == 126) {
        head = 4;
        len = (size_t)p[2] << 8 | p[3];
        if (len < 126)
            return false;
    } else if (len > 126) {
        return false;
    }
    if (have - head < len || len > ws->message_cap)
        return false;
    ws->at += head + len;
    ws->frames++;
    out->data = p + head;
    out->len = len;
    out->code = 0;
    return true;
}

/* Is the text UTF-8? If not, the connection is failed. */
bool k4_ws_prove(struct k4_ws *ws, const struct k4_ws_frame *frame);

/* A place for `len` bytes outside any frame, with slack around it (a message that comes unframed); NULL: over the cap or no
 * memory. Holds until the next k4_ws_buffer or k4_ws_place and leaves unfinished frames alone. */
uint8_t *k4_ws_place(struct k4_ws *ws, size_t len);

/* Marks the connection as failed by its user, for the same consequences. */
void k4_ws_fail(struct k4_ws *ws, enum k4_ws_cause cause);
int k4_ws_close_code(enum k4_ws_cause cause); /* 1002, 1007, 1009; 0 for K4_WS_FINE */
const char *k4_ws_cause_text(enum k4_ws_cause cause);

/* May this code stand in a close frame? */
bool k4_ws_close_code_valid(unsigned code);

#endif
