/* The ring as a model for Spin: one writer that may be killed before any of its stores, its successor, and a reader: one that follows and
 * asks for latest, or (-DSLEEP) one that sleeps. Memory is sequentially consistent here (the real one is tried by weak_ring.c, on the code itself); what Spin adds is every
 * interleaving of all of them, and what nobody can wait for for ever.
 *
 *     spin -a ring.pml && gcc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan          the reader that follows
 *     spin -DSLEEP -a ring.pml && gcc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan  the one that sleeps
 *
 * A word of a record is the record's content: sequence and epoch of who wrote it, so that a mixed record shows. With -D one rule is broken:
 *   LOOSE          a reader takes any even sequence that is there twice, not exactly its own
 *   ONCE           it does not look at the sequence a second time
 *   NO_ODD         the writer does not mark a slot before it writes
 *   HEAD_FIRST     head is stored before the slots
 *   LATEST_FIRST   the latest slot is written before the ring slot
 *   NO_REPAIR      the successor goes on without repairing
 *   REPAIR_HEAD    it advances head and leaves latest
 *   REPAIR_LATEST  it completes latest and leaves head
 *   NOT_SEEN       latest forgets what the ring gave
 *   WAKE_EARLY     the writer looks for sleepers before it publishes
 *   COUNT_LATE     a sleeper looks for records before it counts itself, and not after
 *   NO_BUMP        it leaves the wake word as it is when it takes the sleepers' count
 *   WORD_LATE      a sleeper reads the wake word when it was counted already
 *   NO_WAKE        the successor does not wake who slept when the first writer died
 *   ONE_MORE       a reader says that it lost one more than it did
 */
#ifndef RECORDS
#define RECORDS 4 /* published by both writers together */
#endif
#ifndef LOOKS
#define LOOKS 3 /* of the reader that follows */
#endif
#define SLOTS 2
#define INSTRUMENTS 2
#define NONE 255
#define INSTRUMENT(n) ((n) % 3 == 1 -> 1 : 0)
#define CONTENT(n, epoch) ((n) * 2 + (epoch))

/* Slots 0 .. SLOTS-1 are the ring, then one per instrument. */
#define LATEST(i) (SLOTS + (i))
byte sequence[SLOTS + INSTRUMENTS];
byte one[SLOTS + INSTRUMENTS];
byte two[SLOTS + INSTRUMENTS];
byte head;
byte wake;
byte sleepers;
bool killed, finished;
bit epoch;
byte taken_at = NONE;    /* records below it are the first writer's */
byte reader_saw;         /* sequence + 1 of the newest record that any reader was given */

/* ---------------------------------------------------------------- the writer */

/* Before each store the first writer may die. */
#define STORE(place, value) if :: epoch == 0 -> goto dead :: place = value fi

#define PUT(slot, n)                             \
    PUT_ODD(slot, n);                            \
    STORE(one[slot], CONTENT(n, epoch));         \
    STORE(two[slot], CONTENT(n, epoch));         \
    STORE(sequence[slot], 2 * (n) + 2)
#ifdef NO_ODD
#define PUT_ODD(slot, n) skip
#else
#define PUT_ODD(slot, n) STORE(sequence[slot], 2 * (n) + 1)
#endif

bool wake_queue; /* the futex queue was woken: whoever waits in it goes on */
bool waiting;

inline wake_sleepers()
{
    if
    :: sleepers != 0 ->
        sleepers = 0;
#ifndef NO_BUMP
        wake = wake + 1;
#endif
        wake_queue = true /* FUTEX_WAKE */
    :: else
    fi
}
active proctype writer()
{
    byte n = 0, i, s;
    epoch = 0;
again:
    do
    :: n < RECORDS ->
#ifdef WAKE_EARLY
        wake_sleepers();
#endif
#ifdef HEAD_FIRST
        STORE(head, n + 1);
#endif
#ifdef LATEST_FIRST
        PUT(LATEST(INSTRUMENT(n)), n);
        PUT((n % SLOTS), n);
#else
        PUT((n % SLOTS), n);
        PUT(LATEST(INSTRUMENT(n)), n);
#endif
        STORE(head, n + 1);
#ifndef WAKE_EARLY
        wake_sleepers();
#endif
        n++
    :: else -> break
    od;
    finished = true;
    goto done;
dead:
    skip;
    /* The successor holds the lock only now. What the dead one knew is gone. */
    d_step { killed = true; epoch = 1; n = head; i = 0 };
#ifndef NO_REPAIR
    if
    :: sequence[n % SLOTS] == 2 * n + 2 ->
        s = LATEST(INSTRUMENT(n));
#ifndef REPAIR_HEAD
        sequence[s] = 2 * n + 1;
        one[s] = one[n % SLOTS];
        two[s] = two[n % SLOTS];
        sequence[s] = 2 * n + 2;
#endif
        n++;
#ifndef REPAIR_LATEST
        head = n
#endif
    :: else
    fi;
#endif
    taken_at = n;
    /* Nothing that a reader has had is taken back. */
    assert(reader_saw <= n);
    /* What stands there now is what a segment is: head complete in ring and latest. */
    d_step {
        assert(head == n);
        do
        :: i < n -> assert(sequence[LATEST(INSTRUMENT(i))] >= 2 * i + 2); i++
        :: else -> break
        od
    };
#ifndef NO_WAKE
    wake_sleepers();
#endif
    goto again;
done:
    skip
}

/* ---------------------------------------------------------------- readers */

#define EPOCH(n) ((n) < taken_at -> 0 : 1)

inline check(n)
{
    assert(a == b && a / 2 == n);
    d_step {
        assert(!killed || taken_at == NONE || a % 2 == EPOCH(n));
        if
        :: n + 1 > reader_saw -> reader_saw = n + 1
        :: else
        fi
    }
}

/* `got`: a slot's words are record n. */
inline copy(slot, n)
{
    before = sequence[slot];
    got = false;
#ifdef LOOSE
    if
    :: before == 0 || before % 2 == 1
#else
    if
    :: before != 2 * (n) + 2
#endif
    :: else ->
        a = one[slot];
        b = two[slot];
#ifdef ONCE
        got = true
#elif defined(LOOSE)
        got = (sequence[slot] == before)
#else
        before = sequence[slot];
        got = (before == 2 * (n) + 2)
#endif
    fi
}

#ifndef SLEEP
active proctype follower()
{
    byte next = 0, before, a, b, n, m, turn, least, seen, seen_instrument, oldest, i, answer;
    byte newest[INSTRUMENTS];
    bool got;
    do
    :: turn < LOOKS ->
        turn++;
        if
        :: true -> /* the next record */
            copy((next % SLOTS), next);
            if
            :: got ->
                check(next);
                d_step {
                    i = INSTRUMENT(next);
                    seen = next + 1;
                    seen_instrument = i;
                    if
                    :: next + 1 > newest[i] -> newest[i] = next + 1
                    :: else
                    fi;
                    next++
                }
            :: !got && before > 2 * next + 2 ->
                m = (before - 1) / 2;
                oldest = (head + 1 > SLOTS -> head + 1 - SLOTS : 0);
                d_step {
                    if
                    :: m + 1 > SLOTS && m + 1 - SLOTS > oldest -> oldest = m + 1 - SLOTS
                    :: else
                    fi;
                    if
                    :: oldest <= next -> oldest = next + 1
                    :: else
                    fi;
#ifdef ONE_MORE
                    oldest++;
#endif
                    /* Lost are records that are overwritten or are being so, and no other. */
                    assert(oldest - 1 + SLOTS <= head);
                    next = oldest
                }
            :: else /* not yet */
            fi
        :: true -> /* latest of either */
            if
            :: i = 0
            :: i = 1
            fi;
            answer = 0;
            do
            :: n = NONE;
#ifdef NOT_SEEN
                least = 0;
#else
                least = (seen_instrument == i -> seen : 0);
#endif
                m = sequence[LATEST(i)];
                got = false;
                if
                :: m != 0 && m % 2 == 0 ->
                    copy(LATEST(i), (m / 2 - 1));
                    m = before;
                :: else
                fi;
                if
                :: got && m / 2 >= least -> n = m / 2 - 1; check(n); answer = n + 1; break
                :: !(got && m / 2 >= least) && m == 0 && least == 0 -> break
                :: else
                fi;
                if
                :: m % 2 == 1 -> n = (m / 2 + 1 >= least -> m / 2 : least - 1)
                :: m % 2 == 0 && m / 2 < least -> n = least - 1
                :: else
                fi;
                if
                :: n != NONE ->
                    copy((n % SLOTS), n);
                    if
                    :: got -> check(n); answer = n + 1; break
                    :: else
                    fi
                :: else
                fi
            od;
            skip;
            d_step {
                assert(answer >= newest[i]);
                assert(answer == 0 || INSTRUMENT(answer - 1) == i);
                newest[i] = answer
            }
        fi
    :: else -> break
    od
}

#else
#define READY (sequence[want % SLOTS] >= 2 * want + 2)

/* Sleeps until the last record is there. Nobody wakes it by time: where it is left asleep, Spin finds an invalid end. */
active proctype sleeper()
{
    byte want = RECORDS - 1, old;
    do
    :: READY -> break
    :: else ->
#ifndef WORD_LATE
        old = wake;
#endif
#ifdef COUNT_LATE
        if
        :: READY -> break
        :: else
        fi;
        sleepers = 1;
#else
        sleepers = 1;
        if
        :: READY -> break
        :: else
        fi;
#endif
#ifdef WORD_LATE
        old = wake;
#endif
        /* FUTEX_WAIT: under the queue's lock, the word is looked at and the sleeper queued. */
        atomic {
            if
            :: wake == old -> waiting = true; wake_queue = false
            :: else
            fi
        };
        if
        :: waiting -> atomic { wake_queue -> waiting = false }
        :: else
        fi
    od
}
#endif
