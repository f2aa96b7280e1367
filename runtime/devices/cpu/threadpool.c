/* The thread pool of CPU kernels in this process, and the loop that runs a whole program.
 *
 * tools/make_pool.sh compiles this to threadpool.ll, which is shipped: no C compiler is needed where
 * weft runs. That text serves all processors with 64 bits and all systems with pthreads, so nothing
 * here comes from a system's header: the few functions are declared, and objects whose size differs
 * between systems lie in blocks that are large enough for each. cpu.py adds what must differ:
 * weft_relax and weft_clock_id.
 */
#include "threadpool.h"

#define IDLE_NANOSECONDS 1000000 /* a worker looks for work that long, then it sleeps */
#define CALLER_TURNS 3000

void weft_relax(void);              /* the processor's spin hint */
extern const int32_t weft_clock_id; /* CLOCK_MONOTONIC */

typedef struct {
  int64_t seconds, nanoseconds;
} moment_t; /* struct timespec */
typedef struct {
  CACHE_LINE char bytes[256];
} object_t; /* at least a pthread_mutex_t, a pthread_cond_t */

int32_t pthread_create(int64_t *thread, const void *attributes, void *(*start)(void *), void *arg);
int32_t pthread_join(int64_t thread, void **result);
int32_t pthread_mutex_init(object_t *mutex, const void *attributes);
int32_t pthread_mutex_lock(object_t *mutex);
int32_t pthread_mutex_unlock(object_t *mutex);
int32_t pthread_cond_init(object_t *condition, const void *attributes);
int32_t pthread_cond_wait(object_t *condition, object_t *mutex);
int32_t pthread_cond_signal(object_t *condition);
int32_t pthread_cond_broadcast(object_t *condition);
int32_t clock_gettime(int32_t clock, moment_t *moment);
int32_t sched_yield(void);

static object_t mutex;
static object_t wake;                /* a condition: workers wait */
static object_t finished;            /* a condition: the caller waits */
static uint32_t made;                /* 1: these three are initialised */
static int64_t handles[MAX_THREADS]; /* pthread_t of each worker */

/* -- what threadpool.h asks for ----------------------------------------------------------------*/

/* From the 128th turn on every 32nd gives the core away: where threads share one (other programs
 * run, or there are more threads than cores) the one that is waited for may need this very core. */
static void pause_turn(uint32_t turn) {
  weft_relax();
  if (turn % 32 == 31 && turn >= 128) sched_yield();
}

static uint64_t now(void) {
  moment_t t;
  clock_gettime(weft_clock_id, &t);
  return (uint64_t)t.seconds * 1000000000 + (uint64_t)t.nanoseconds;
}

static int worker_tired(uint32_t turns, uint64_t since) {
  return turns % 64 == 0 && now() - since > IDLE_NANOSECONDS;
}

static int caller_tired(uint32_t turns) { return turns >= CALLER_TURNS; }

static void worker_sleep(uint64_t seen) {
  pthread_mutex_lock(&mutex);
  __atomic_fetch_add(&sleepers, 1, __ATOMIC_SEQ_CST);
  while (!called(seen)) pthread_cond_wait(&wake, &mutex);
  __atomic_fetch_sub(&sleepers, 1, __ATOMIC_SEQ_CST);
  pthread_mutex_unlock(&mutex);
}

static void wake_workers(void) {
  pthread_mutex_lock(&mutex);
  pthread_cond_broadcast(&wake);
  pthread_mutex_unlock(&mutex);
}

static void caller_sleep(void) {
  pthread_mutex_lock(&mutex);
  STORE(waiting, 1);
  while (LOAD(pending)) pthread_cond_wait(&finished, &mutex);
  STORE(waiting, 0);
  pthread_mutex_unlock(&mutex);
}

static void wake_caller(void) {
  pthread_mutex_lock(&mutex);
  pthread_cond_signal(&finished);
  pthread_mutex_unlock(&mutex);
}

/* -- the workers -------------------------------------------------------------------------------*/

static void *worker(void *number) {
  serve((uint64_t)number);
  return 0;
}

/* Not every system takes zeros for a mutex or a condition. */
static void make_objects(void) {
  pthread_mutex_init(&mutex, 0);
  pthread_cond_init(&wake, 0);
  pthread_cond_init(&finished, 0);
  made = 1;
}

/* Ends all workers and starts `n` new ones; returns how many run. Waits for the caller that has the
 * workers. */
uint32_t weft_pool_resize(uint32_t n) {
  while (!claim()) weft_relax();
  if (!made) make_objects();
  STORE(stop, 1);
  announce();
  for (uint32_t k = 0; k < workers; k++) pthread_join(handles[k], 0);
  STORE(stop, 0);
  uint32_t have = 0;
  while (have < n && !pthread_create(&handles[have], 0, worker, (void *)((uint64_t)have + 1))) have++;
  __atomic_store_n(&workers, have, __ATOMIC_RELAXED);
  STORE(busy, 0);
  return have;
}

/* The pthread_t of worker `k`, 0 for the first. */
int64_t weft_pool_handle(uint32_t k) { return handles[k]; }

/* After a fork the child has no workers and may have inherited the state of a launch. */
void weft_pool_forget(void) {
  workers = pending = sleepers = waiting = stop = 0;
  __builtin_memset(tickets, 0, sizeof tickets);
  make_objects();
  STORE(busy, 0);
}

/* -- programs ----------------------------------------------------------------------------------*/

typedef struct {
  void (*kernel)(void *table);
  void *table; /* of arguments */
} step_t;

/* Runs `n` steps in order. Where `times` is not null, times[k] is the moment in nanoseconds before
 * step k and times[n] the moment after the last. */
void weft_run(const step_t *steps, uint64_t n, uint64_t *times) {
  for (uint64_t k = 0; k < n; k++) {
    if (times) times[k] = now();
    steps[k].kernel(steps[k].table);
  }
  if (times) times[n] = now();
}
