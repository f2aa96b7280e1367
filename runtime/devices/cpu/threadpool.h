/* The thread pool of parallel loops: what is the same on every platform.
 *
 * Included once, by threadpool.c (this process; pthreads) and by the host runtime of a wasm module
 * (codegen/templates/host.c; atomics of shared memory). They define the functions of the section
 * "platform" and say where the workers come from.
 *
 * A launch cuts its range into a few chunks per thread. Each thread has a word of its own in
 * `tickets` (launch number, chunks left) and starts with the chunks of its own part of the range, so
 * that a thread finds in its caches what it wrote there in the kernel before. A chunk is taken by
 * lowering the word with a compare-and-swap; whoever is done with its own part, the caller included,
 * goes on with the parts of the others, so a launch never waits for a worker that the system has not
 * scheduled. The launch number in the word keeps a late worker from taking a chunk of a launch that
 * it has not seen. The job's description is read only after a chunk was taken: from then until that
 * chunk is reported done the launch cannot end, so the description stands still.
 * Workers look at `launches`, which changes with each launch. They spin for a while after their last
 * chunk, because the kernels of a model follow each other within microseconds and its calls often
 * too, and then sleep.
 *
 * Two Dekker-style hand-shakes need sequentially consistent accesses:
 *   launch: caller writes `launches`, then reads `sleepers`;  worker raises `sleepers`, then reads
 *           `launches`, so that one of them sees the other;
 *   finish: worker lowers `pending`, then reads `waiting`;  caller raises `waiting`, then reads
 *           `pending`.
 * The owner of `busy` is the one caller that uses the workers. A second caller, and a parallel loop
 * inside a parallel loop, find it taken and run their range themselves.
 */
#include <stdint.h>

#define MAX_THREADS 1024
#define CHUNKS_PER_THREAD 4 /* balance against overhead */
#define CACHE_LINE _Alignas(64)

#define LOAD(x) __atomic_load_n(&(x), __ATOMIC_SEQ_CST)
#define STORE(x, value) __atomic_store_n(&(x), value, __ATOMIC_SEQ_CST)

typedef void (*body_t)(void *closure, int64_t begin, int64_t end);

typedef struct {
  CACHE_LINE uint64_t word; /* launch number << 32 | chunks */
} ticket_t;
typedef struct {
  body_t body;
  void *closure;
  int64_t begin;
  uint64_t count, chunks, threads;
} job_t;

static CACHE_LINE ticket_t tickets[MAX_THREADS];
static CACHE_LINE uint64_t launches; /* how many there have been */
static CACHE_LINE uint32_t pending;  /* chunks that are not done */
static CACHE_LINE uint32_t sleepers; /* workers asleep or about to be */
static CACHE_LINE uint32_t waiting;  /* 1: the caller sleeps or is about to */
static CACHE_LINE uint32_t busy;     /* 1: the workers belong to a caller */
static CACHE_LINE uint32_t workers;  /* threads besides the caller */
static uint32_t stop;                /* 1: workers return */
/* "used" keeps the optimiser from tearing it into variables, each in a cache line of its own. */
__attribute__((used)) static CACHE_LINE job_t job;

/* -- platform ----------------------------------------------------------------------------------*/

static void pause_turn(uint32_t turn); /* passes the time between two looks of a waiting loop */
static uint64_t now(void);             /* whatever worker_tired compares */

/* Whether a worker that has been idle since the moment `since`, for `turns` turns, shall sleep. */
static int worker_tired(uint32_t turns, uint64_t since);
static int caller_tired(uint32_t turns);

/* Sleeps until called(seen). It raises `sleepers` before it looks, and lowers it at the end. */
static void worker_sleep(uint64_t seen);
static void wake_workers(void);

/* Sleeps until `pending` is 0. It raises `waiting` before it looks, and lowers it at the end. */
static void caller_sleep(void);
static void wake_caller(void);

/* -- the pool ----------------------------------------------------------------------------------*/

/* The first of `n` things that is thread t's, if each has as many as the others or one more. */
static uint64_t share(uint64_t n, uint64_t t, uint64_t threads) { return n * t / threads; }

/* Takes one chunk out of thread t's part of the current launch and runs it; 0 when there is none
 * left to take. Of n iterations in c chunks chunk i has those from i n / c on. */
static int take(uint64_t t) {
  uint64_t word, left;
  do {
    word = LOAD(tickets[t].word);
    left = (uint32_t)word;
    if (!left) return 0;
  } while (!__atomic_compare_exchange_n(&tickets[t].word, &word, word - 1, 0, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST));
  uint64_t i = share(job.chunks, t + 1, job.threads) - left;
  int64_t from = (int64_t)share(job.count, i, job.chunks);
  int64_t to = (int64_t)share(job.count, i + 1, job.chunks);
  job.body(job.closure, job.begin + from, job.begin + to);
  if (__atomic_fetch_sub(&pending, 1, __ATOMIC_SEQ_CST) == 1 && LOAD(waiting)) wake_caller();
  return 1;
}

/* Runs what is to be had of the current launch: thread self's own part, then the others' parts,
 * those of the next threads first. */
static void help(uint64_t self) {
  while (take(self)) {
  }
  uint64_t threads = (uint64_t)__atomic_load_n(&workers, __ATOMIC_RELAXED) + 1;
  for (uint64_t k = 1; k < threads; k++)
    while (take((self + k) % threads)) {
    }
}

/* Whether a worker that has seen `seen` launches has a reason to be awake: another one, the end. */
static int called(uint64_t seen) { return LOAD(launches) != seen || LOAD(stop); }

/* Worker `self` (1 is the first) serves until `stop`. It reads the number of launches before it
 * helps: the parts of that launch were there then. */
static void serve(uint64_t self) {
  while (!LOAD(stop)) {
    uint64_t seen = LOAD(launches);
    help(self);
    uint64_t since = now();
    for (uint32_t turns = 0; !called(seen);) {
      pause_turn(turns++);
      if (worker_tired(turns, since)) {
        worker_sleep(seen);
        break;
      }
    }
  }
}

/* After `launches` or `stop` was written: wakes the workers that sleep. */
static void announce(void) {
  if (LOAD(sleepers)) wake_workers();
}

static int claim(void) { return !__atomic_exchange_n(&busy, 1, __ATOMIC_SEQ_CST); }

/* Runs job's chunks on all threads; returns when all are done. */
static void launch(void) {
  STORE(pending, (uint32_t)job.chunks);
  uint64_t number = LOAD(launches) + 1, first = 0;
  for (uint64_t t = 0; t < job.threads; t++) {
    uint64_t after = share(job.chunks, t + 1, job.threads);
    __atomic_store_n(&tickets[t].word, number << 32 | (after - first), __ATOMIC_RELEASE);
    first = after;
  }
  STORE(launches, number);
  announce();
  help(0);
  for (uint32_t turns = 0; LOAD(pending);) {
    pause_turn(turns++);
    if (caller_tired(turns)) {
      caller_sleep();
      break;
    }
  }
}

/* body(closure, b, e) over parts [b, e) that together are [begin, end); returns when all are done.
 * What kernels call for their parallel loops. */
void weft_parallel_for(body_t body, void *closure, int64_t begin, int64_t end) {
  int64_t n = end - begin;
  if (n <= 0) return;
  if (n > 1 && claim()) {
    uint64_t threads = (uint64_t)__atomic_load_n(&workers, __ATOMIC_RELAXED) + 1;
    if (threads > 1) {
      uint64_t most = threads * CHUNKS_PER_THREAD, count = (uint64_t)n;
      job.body = body, job.closure = closure, job.begin = begin, job.count = count;
      job.chunks = count < most ? count : most, job.threads = threads;
      launch();
      STORE(busy, 0);
      return;
    }
    STORE(busy, 0);
  }
  body(closure, begin, end);
}
