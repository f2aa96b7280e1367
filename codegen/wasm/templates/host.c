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

#ifdef WEFT_THREADS
#include "threadpool.h"
#endif

#define EXPORT(name) __attribute__((export_name(#name))) name
#define ALIGNMENT 64 /* bytes; kernels rely on it */
#define PAGE 65536

typedef void (*kernel_t)(int64_t *args);

extern const kernel_t weft_kernels[];  /* in the order of the names */
extern const char weft_kernel_names[]; /* each ends in a zero, the last in two */
extern unsigned char __heap_base;

#ifdef WEFT_THREADS
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
/* The pool is that of native code, with other ways to wait: there is no clock, so workers look for
 * work so many times, and they sleep on `launches` itself, the caller on `pending`. Workers are
 * threads of JavaScript's that it ends from outside.
 */
#define WORKER_TURNS 20000
#define CALLER_TURNS 20000
#define EVER (-1) /* nanoseconds */

static int may_wait; /* a page's own thread must not sleep: it looks until the end */

static void pause_turn(uint32_t turn) { (void)turn; }

static uint64_t now(void) { return 0; }

static int worker_tired(uint32_t turns, uint64_t since) {
  (void)since;
  return turns >= WORKER_TURNS;
}

static int caller_tired(uint32_t turns) { return may_wait && turns >= CALLER_TURNS; }

/* These are called through pointers, so that neither compiler nor wasm-opt puts them into their
 * callers: where memory.atomic.wait32 stands in a function with many variables, V8's first compiler
 * (Liftoff; seen in Node 20) loses some of them, the saved stack pointer for one. */
static void wait32(void *at, int64_t value) {
  __builtin_wasm_memory_atomic_wait32((int *)at, (int)value, EVER);
}
static void wait64(void *at, int64_t value) {
  __builtin_wasm_memory_atomic_wait64((int64_t *)at, value, EVER);
}
static void notify(void *at, int64_t most) {
  __builtin_wasm_memory_atomic_notify((int *)at, (unsigned)most);
}
static struct {
  void (*wait32)(void *, int64_t), (*wait64)(void *, int64_t), (*notify)(void *, int64_t);
} const volatile alone = {wait32, wait64, notify};

static void worker_sleep(uint64_t seen) {
  __atomic_fetch_add(&sleepers, 1, __ATOMIC_SEQ_CST);
  while (!called(seen)) alone.wait64(&launches, (int64_t)seen);
  __atomic_fetch_sub(&sleepers, 1, __ATOMIC_SEQ_CST);
}

static void wake_workers(void) { alone.notify(&launches, MAX_THREADS); }

static void caller_sleep(void) {
  STORE(waiting, 1);
  for (uint32_t left; (left = LOAD(pending));) alone.wait32(&pending, left);
  STORE(waiting, 0);
}

static void wake_caller(void) { alone.notify(&pending, 1); }

/* Worker `me` (1 is the first) serves until its thread is ended from outside. */
void EXPORT(weft_worker)(int me) { serve((uint64_t)me); }

/* The pool has `n` workers from now on; each calls weft_worker. */
void EXPORT(weft_pool)(int n, int caller_may_wait) {
  __atomic_store_n(&workers, (uint32_t)n, __ATOMIC_RELAXED);
  may_wait = caller_may_wait;
}
#else
typedef void (*body_t)(void *closure, int64_t begin, int64_t end);

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
