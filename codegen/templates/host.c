/* The host runtime of a wasm module: memory, the loop over a program's kernels, parallel loops.
 *
 * Linked with the kernels of a model and a table of them (written by emscripten.py). There is no
 * C library behind it but for mathematical functions: nothing here prints, opens or exits.
 *
 * The module belongs to one owner (runtime_js/devices/wasm/), who calls all exports from one
 * thread, except weft_worker, which every worker of the pool calls once and never leaves.
 */
#include <stddef.h>
#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(#name))) name
#define ALIGNMENT 64 /* bytes; kernels rely on it */
#define PAGE 65536

typedef void (*kernel_t)(int64_t *args);
typedef void (*body_t)(void *closure, int64_t begin, int64_t end);

extern const kernel_t weft_kernels[];  /* in the order of the names */
extern const char weft_kernel_names[]; /* each ends in a zero, the last in two */
extern unsigned char __heap_base;

#ifdef WEFT_THREADS
#define ATOMIC(x) __atomic_load_n(&(x), __ATOMIC_SEQ_CST)
static int heap_lock;
static void lock(void) {
  while (__atomic_exchange_n(&heap_lock, 1, __ATOMIC_ACQUIRE)) {
  }
}
static void unlock(void) { __atomic_store_n(&heap_lock, 0, __ATOMIC_RELEASE); }
#else
static void lock(void) {}
static void unlock(void) {}
#endif

/* -- memory --------------------------------------------------------------------------------------
 *
 * Blocks are cut from the end of the memory and never joined. What is freed goes into a list, from
 * which the best fit is taken. A program asks for the same sizes at every run, so memory stops
 * growing after the first.
 */

typedef struct block {
  size_t size; /* of what follows the header, a multiple of ALIGNMENT */
  struct block *next;
} block_t;

static uintptr_t top; /* first byte that no block has */
static block_t *unused;

static block_t *fresh(size_t size) {
  uintptr_t begin = top ? top : (uintptr_t)&__heap_base;
  /* The header lies right before an aligned address. */
  uint64_t data = ((uint64_t)begin + sizeof(block_t) + ALIGNMENT - 1) & ~(uint64_t)(ALIGNMENT - 1);
  uint64_t end = data + size, have = (uint64_t)__builtin_wasm_memory_size(0) * PAGE;
  if (end > UINT32_MAX - PAGE) return NULL;
  if (end > have && __builtin_wasm_memory_grow(0, (size_t)((end - have + PAGE - 1) / PAGE)) == (size_t)-1)
    return NULL;
  top = (uintptr_t)end;
  block_t *b = (block_t *)(uintptr_t)data - 1;
  b->size = size;
  return b;
}

/* Memory of at least `size` bytes, aligned for every use; 0 when there is none left. */
void *EXPORT(weft_alloc)(size_t size) {
  if (size > UINT32_MAX - 2 * PAGE) return NULL;
  size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
  if (!size) size = ALIGNMENT;
  lock();
  block_t **best = NULL;
  for (block_t **at = &unused; *at; at = &(*at)->next)
    if ((*at)->size >= size && (*at)->size / 2 <= size && (!best || (*at)->size < (*best)->size))
      best = at;
  block_t *b;
  if (best) {
    b = *best;
    *best = b->next;
  } else {
    b = fresh(size);
  }
  unlock();
  return b ? b + 1 : NULL;
}

void EXPORT(weft_free)(void *memory) {
  if (!memory) return;
  block_t *b = (block_t *)memory - 1;
  lock();
  b->next = unused;
  unused = b;
  unlock();
}

/* What kernels with large local buffers call; they cannot go on without. */
void *aligned_alloc(size_t alignment, size_t size) {
  void *memory = alignment <= ALIGNMENT ? weft_alloc(size) : NULL;
  if (!memory) __builtin_trap();
  return memory;
}

void free(void *memory) { weft_free(memory); }

/* -- parallel loops ----------------------------------------------------------------------------*/

#ifdef WEFT_THREADS
/* A launch publishes one job under a new `generation`; every thread of the pool, the caller
 * included, takes the part of the range that its number gives it. Workers look for a new generation
 * for a while, because the kernels of a model follow each other closely, and then sleep on it. Two
 * hand-shakes need sequentially consistent accesses: the caller writes `generation` and reads
 * `sleepers` while a worker raises `sleepers` and reads `generation`; and the same with `pending`
 * and `waiting` at the end. A loop inside a parallel loop finds `busy` taken and runs itself.
 */
#define WORKER_SPINS 20000
#define CALLER_SPINS 20000

static struct {
  body_t body;
  void *closure;
  int64_t begin, count;
} job;
static int generation, pending, sleepers, waiting, busy;
static int workers;  /* threads besides the caller */
static int may_wait; /* a page's own thread must not sleep: it looks until the end */

static void part(int k) {
  int64_t n = job.count, t = workers + 1, each = n / t, more = n % t;
  int64_t begin = job.begin + each * k + (k < more ? k : more);
  int64_t length = each + (k < more);
  if (length) job.body(job.closure, begin, begin + length);
}

/* Worker `me` (1 is the first) serves until its thread is ended from outside. */
void EXPORT(weft_worker)(int me) {
  for (int seen = 0;;) {
    for (int spins = 0; ATOMIC(generation) == seen && spins < WORKER_SPINS; spins++) {
    }
    if (ATOMIC(generation) == seen) {
      __atomic_fetch_add(&sleepers, 1, __ATOMIC_SEQ_CST);
      while (ATOMIC(generation) == seen) __builtin_wasm_memory_atomic_wait32(&generation, seen, -1);
      __atomic_fetch_sub(&sleepers, 1, __ATOMIC_SEQ_CST);
    }
    seen = ATOMIC(generation); /* before the job ends: the next one may begin right then */
    part(me);
    if (__atomic_sub_fetch(&pending, 1, __ATOMIC_SEQ_CST) == 0 && ATOMIC(waiting))
      __builtin_wasm_memory_atomic_notify(&pending, 1);
  }
}

/* The pool has `n` workers from now on; each calls weft_worker. */
void EXPORT(weft_pool)(int n, int caller_may_wait) {
  workers = n;
  may_wait = caller_may_wait;
}

void weft_parallel_for(body_t body, void *closure, int64_t begin, int64_t end) {
  int64_t n = end - begin;
  if (n <= 0) return;
  if (n == 1 || !workers || __atomic_exchange_n(&busy, 1, __ATOMIC_SEQ_CST)) {
    body(closure, begin, end);
    return;
  }
  job.body = body, job.closure = closure, job.begin = begin, job.count = n;
  __atomic_store_n(&pending, workers, __ATOMIC_SEQ_CST);
  __atomic_fetch_add(&generation, 1, __ATOMIC_SEQ_CST);
  if (ATOMIC(sleepers)) __builtin_wasm_memory_atomic_notify(&generation, (unsigned)workers);
  part(0);
  for (int spins = 0; ATOMIC(pending) && (!may_wait || spins < CALLER_SPINS); spins++) {
  }
  if (ATOMIC(pending)) {
    __atomic_store_n(&waiting, 1, __ATOMIC_SEQ_CST);
    for (int left; (left = ATOMIC(pending));)
      __builtin_wasm_memory_atomic_wait32(&pending, left, -1);
    __atomic_store_n(&waiting, 0, __ATOMIC_SEQ_CST);
  }
  __atomic_store_n(&busy, 0, __ATOMIC_SEQ_CST);
}
#else
void weft_parallel_for(body_t body, void *closure, int64_t begin, int64_t end) {
  if (begin < end) body(closure, begin, end);
}
#endif

/* -- programs ----------------------------------------------------------------------------------*/

typedef struct {
  uint32_t kernel; /* its number in weft_kernels */
  int64_t *args;
} step_t;

const char *EXPORT(weft_names)(void) { return weft_kernel_names; }

/* Runs `n` steps in order. */
void EXPORT(weft_run)(const step_t *steps, size_t n) {
  for (size_t k = 0; k < n; k++) weft_kernels[steps[k].kernel](steps[k].args);
}
