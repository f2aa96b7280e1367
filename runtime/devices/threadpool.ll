; The thread pool of CPU kernels, and the loop that runs a whole program.
;
; A launch publishes one job (function, closure, range) under @generation and every thread of the
; pool, the caller included, takes the part of the range that its number gives it: no queue, no
; per-part hand-over. Workers spin for a short while between launches, because the kernels of a
; model follow each other within microseconds, and then sleep on a condition variable.
;
; Two Dekker-style hand-shakes need sequentially consistent accesses:
;   launch: caller writes @generation, then reads @sleepers;  worker raises @sleepers, then reads
;           @generation, so that one of them sees the other;
;   finish: worker lowers @pending, then reads @waiting;  caller raises @waiting, then reads
;           @pending.
; The owner of @busy is the one caller that uses the workers. A second caller, and a parallel loop
; inside a parallel loop, find it taken and run their range themselves.
;
; cpu.py appends @weft_relax (the processor's spin hint) and @weft_clock_id (CLOCK_MONOTONIC).

%timespec = type { i64, i64 }
%step = type { ptr, ptr }                             ; kernel, its table of arguments

@mutex = internal global [256 x i8] zeroinitializer, align 64   ; at least a pthread_mutex_t
@wake = internal global [256 x i8] zeroinitializer, align 64    ; pthread_cond_t: workers wait
@finished = internal global [256 x i8] zeroinitializer, align 64 ; pthread_cond_t: the caller waits
@handles = internal global [1024 x i64] zeroinitializer, align 64 ; pthread_t of each worker

@generation = internal global i32 0, align 64         ; number of the current job
@pending = internal global i32 0, align 64            ; workers that have not finished it
@sleepers = internal global i32 0, align 64           ; workers asleep or about to be
@waiting = internal global i32 0, align 64            ; 1: the caller sleeps or is about to
@busy = internal global i32 0, align 64               ; 1: the workers belong to a caller
@workers = internal global i32 0, align 64            ; threads besides the caller
@stop = internal global i32 0                         ; 1: workers return
@job_body = internal global ptr null, align 64
@job_closure = internal global ptr null
@job_begin = internal global i64 0
@job_count = internal global i64 0

declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_join(i64, ptr)
declare i32 @pthread_mutex_init(ptr, ptr)
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_unlock(ptr)
declare i32 @pthread_cond_init(ptr, ptr)
declare i32 @pthread_cond_wait(ptr, ptr)
declare i32 @pthread_cond_signal(ptr)
declare i32 @pthread_cond_broadcast(ptr)
declare i32 @clock_gettime(i32, ptr)
declare i32 @sched_yield()

; One turn of a waiting loop. From the 128th turn on every 32nd gives the core away: where threads
; share one (other programs run, or there are more threads than cores) the one that is waited for
; may need this very core.
define internal void @pause(i32 %turn) {
  call void @weft_relax()
  %low = and i32 %turn, 31
  %due = icmp eq i32 %low, 31
  %late = icmp uge i32 %turn, 128
  %yield = and i1 %due, %late
  br i1 %yield, label %give, label %done
give:
  %r = call i32 @sched_yield()
  br label %done
done:
  ret void
}

; Runs part %k of the current job: of n iterations over t threads the first n % t parts get one
; more than the others.
define internal void @part(i32 %k) {
  %workers = load i32, ptr @workers
  %threads = add i32 %workers, 1
  %t = zext i32 %threads to i64
  %n = load i64, ptr @job_count
  %i = zext i32 %k to i64
  %each = udiv i64 %n, %t
  %more = urem i64 %n, %t
  %extra = call i64 @llvm.umin.i64(i64 %i, i64 %more)
  %scaled = mul i64 %each, %i
  %offset = add i64 %scaled, %extra
  %larger = icmp ult i64 %i, %more
  %one = zext i1 %larger to i64
  %length = add i64 %each, %one
  %none = icmp eq i64 %length, 0
  br i1 %none, label %done, label %run
run:
  %low = load i64, ptr @job_begin
  %begin = add i64 %low, %offset
  %end = add i64 %begin, %length
  %body = load ptr, ptr @job_body
  %closure = load ptr, ptr @job_closure
  call void %body(ptr %closure, i64 %begin, i64 %end)
  br label %done
done:
  ret void
}
declare i64 @llvm.umin.i64(i64, i64)

; A worker; %arg is its number (1 is the first) in the low half and the generation that it has
; already seen in the high half.
define internal ptr @worker(ptr %arg) {
entry:
  %bits = ptrtoint ptr %arg to i64
  %me = trunc i64 %bits to i32
  %high = lshr i64 %bits, 32
  %first = trunc i64 %high to i32
  br label %idle
idle:
  %seen = phi i32 [ %first, %entry ], [ %now, %next ]
  br label %spin
spin:
  %tries = phi i32 [ 0, %idle ], [ %tries1, %again ]
  %g0 = load atomic i32, ptr @generation seq_cst, align 4
  %new0 = icmp ne i32 %g0, %seen
  br i1 %new0, label %work, label %again
again:
  call void @pause(i32 %tries)
  %tries1 = add i32 %tries, 1
  %tired = icmp uge i32 %tries1, 1500
  br i1 %tired, label %sleep, label %spin
sleep:
  %l = call i32 @pthread_mutex_lock(ptr @mutex)
  %s = atomicrmw add ptr @sleepers, i32 1 seq_cst
  br label %check
check:
  %g1 = load atomic i32, ptr @generation seq_cst, align 4
  %new1 = icmp ne i32 %g1, %seen
  br i1 %new1, label %awake, label %wait
wait:
  %w = call i32 @pthread_cond_wait(ptr @wake, ptr @mutex)
  br label %check
awake:
  %s1 = atomicrmw sub ptr @sleepers, i32 1 seq_cst
  %u = call i32 @pthread_mutex_unlock(ptr @mutex)
  br label %work
work:
  %now = phi i32 [ %g0, %spin ], [ %g1, %awake ]
  %over = load atomic i32, ptr @stop seq_cst, align 4
  %leave = icmp ne i32 %over, 0
  br i1 %leave, label %exit, label %run
run:
  call void @part(i32 %me)
  %left = atomicrmw sub ptr @pending, i32 1 seq_cst
  %last = icmp eq i32 %left, 1
  br i1 %last, label %report, label %next
report:
  %asleep = load atomic i32, ptr @waiting seq_cst, align 4
  %must = icmp ne i32 %asleep, 0
  br i1 %must, label %signal, label %next
signal:
  %l2 = call i32 @pthread_mutex_lock(ptr @mutex)
  %c2 = call i32 @pthread_cond_signal(ptr @finished)
  %u2 = call i32 @pthread_mutex_unlock(ptr @mutex)
  br label %next
next:
  br label %idle
exit:
  ret ptr null
}

; Announces a new generation and wakes the workers that sleep.
define internal void @announce() {
  %g = atomicrmw add ptr @generation, i32 1 seq_cst
  %asleep = load atomic i32, ptr @sleepers seq_cst, align 4
  %some = icmp ne i32 %asleep, 0
  br i1 %some, label %rouse, label %done
rouse:
  %l = call i32 @pthread_mutex_lock(ptr @mutex)
  %c = call i32 @pthread_cond_broadcast(ptr @wake)
  %u = call i32 @pthread_mutex_unlock(ptr @mutex)
  br label %done
done:
  ret void
}

; body(closure, b, e) over parts [b, e) that together are [begin, end); returns when all are done.
define void @weft_parallel_for(ptr %body, ptr %closure, i64 %begin, i64 %end) {
entry:
  %n = sub i64 %end, %begin
  %some = icmp sgt i64 %n, 0
  br i1 %some, label %several, label %done
several:
  %one = icmp eq i64 %n, 1
  br i1 %one, label %inline, label %claim
claim:
  %claimed = cmpxchg ptr @busy, i32 0, i32 1 seq_cst seq_cst
  %mine = extractvalue { i32, i1 } %claimed, 1
  br i1 %mine, label %owner, label %inline
owner:
  %workers = load i32, ptr @workers
  %alone = icmp eq i32 %workers, 0
  br i1 %alone, label %alone_run, label %launch
alone_run:
  store atomic i32 0, ptr @busy seq_cst, align 4
  br label %inline
inline:
  call void %body(ptr %closure, i64 %begin, i64 %end)
  br label %done
launch:
  store ptr %body, ptr @job_body
  store ptr %closure, ptr @job_closure
  store i64 %begin, ptr @job_begin
  store i64 %n, ptr @job_count
  store atomic i32 %workers, ptr @pending seq_cst, align 4
  call void @announce()
  call void @part(i32 0)
  br label %spin
spin:
  %tries = phi i32 [ 0, %launch ], [ %tries1, %again ]
  %p0 = load atomic i32, ptr @pending seq_cst, align 4
  %all0 = icmp eq i32 %p0, 0
  br i1 %all0, label %release, label %again
again:
  call void @pause(i32 %tries)
  %tries1 = add i32 %tries, 1
  %tired = icmp uge i32 %tries1, 3000
  br i1 %tired, label %sleep, label %spin
sleep:
  %l = call i32 @pthread_mutex_lock(ptr @mutex)
  store atomic i32 1, ptr @waiting seq_cst, align 4
  br label %check
check:
  %p1 = load atomic i32, ptr @pending seq_cst, align 4
  %all1 = icmp eq i32 %p1, 0
  br i1 %all1, label %awake, label %wait
wait:
  %w = call i32 @pthread_cond_wait(ptr @finished, ptr @mutex)
  br label %check
awake:
  store atomic i32 0, ptr @waiting seq_cst, align 4
  %u = call i32 @pthread_mutex_unlock(ptr @mutex)
  br label %release
release:
  store atomic i32 0, ptr @busy seq_cst, align 4
  br label %done
done:
  ret void
}

; Claims the workers, waiting for the caller that has them.
define internal void @claim() {
entry:
  br label %try
try:
  %claimed = cmpxchg ptr @busy, i32 0, i32 1 seq_cst seq_cst
  %mine = extractvalue { i32, i1 } %claimed, 1
  br i1 %mine, label %done, label %again
again:
  call void @weft_relax()
  br label %try
done:
  ret void
}

; Ends all workers and starts %n new ones; returns how many run.
define i32 @weft_pool_resize(i32 %n) {
entry:
  call void @claim()
  %old = load i32, ptr @workers
  store atomic i32 1, ptr @stop seq_cst, align 4
  call void @announce()
  br label %join
join:
  %j = phi i32 [ 0, %entry ], [ %j1, %join_one ]
  %joined = icmp uge i32 %j, %old
  br i1 %joined, label %start, label %join_one
join_one:
  %jp = getelementptr [1024 x i64], ptr @handles, i64 0, i32 %j
  %h = load i64, ptr %jp
  %r = call i32 @pthread_join(i64 %h, ptr null)
  %j1 = add i32 %j, 1
  br label %join
start:
  store atomic i32 0, ptr @stop seq_cst, align 4
  %g = load atomic i32, ptr @generation seq_cst, align 4
  %gw = zext i32 %g to i64
  %high = shl i64 %gw, 32
  br label %create
create:
  %k = phi i32 [ 0, %start ], [ %k1, %created ]
  %enough = icmp uge i32 %k, %n
  br i1 %enough, label %ready, label %create_one
create_one:
  %k1 = add i32 %k, 1
  %kw = zext i32 %k1 to i64
  %bits = or i64 %high, %kw
  %arg = inttoptr i64 %bits to ptr
  %kp = getelementptr [1024 x i64], ptr @handles, i64 0, i32 %k
  %e = call i32 @pthread_create(ptr %kp, ptr null, ptr @worker, ptr %arg)
  %bad = icmp ne i32 %e, 0
  br i1 %bad, label %ready, label %created
created:
  br label %create
ready:
  %have = phi i32 [ %k, %create ], [ %k, %create_one ]
  store i32 %have, ptr @workers
  store atomic i32 0, ptr @busy seq_cst, align 4
  ret i32 %have
}

; After a fork the child has no workers and may have inherited the state of a launch.
define void @weft_pool_forget() {
  store i32 0, ptr @workers
  store i32 0, ptr @pending
  store i32 0, ptr @sleepers
  store i32 0, ptr @waiting
  store i32 0, ptr @stop
  %m = call i32 @pthread_mutex_init(ptr @mutex, ptr null)
  %w = call i32 @pthread_cond_init(ptr @wake, ptr null)
  %f = call i32 @pthread_cond_init(ptr @finished, ptr null)
  store atomic i32 0, ptr @busy seq_cst, align 4
  ret void
}

define internal i64 @now() {
  %t = alloca %timespec
  %id = load i32, ptr @weft_clock_id
  %r = call i32 @clock_gettime(i32 %id, ptr %t)
  %s = load i64, ptr %t
  %np = getelementptr %timespec, ptr %t, i64 0, i32 1
  %ns = load i64, ptr %np
  %scaled = mul i64 %s, 1000000000
  %sum = add i64 %scaled, %ns
  ret i64 %sum
}

; Runs %n steps in order. Where %times is not null, times[k] is the moment in nanoseconds before
; step k and times[n] the moment after the last.
define void @weft_run(ptr %steps, i64 %n, ptr %times) {
entry:
  %timed = icmp ne ptr %times, null
  br label %head
head:
  %k = phi i64 [ 0, %entry ], [ %k1, %call ]
  br i1 %timed, label %stamp, label %test
stamp:
  %t = call i64 @now()
  %tp = getelementptr i64, ptr %times, i64 %k
  store i64 %t, ptr %tp
  br label %test
test:
  %over = icmp uge i64 %k, %n
  br i1 %over, label %done, label %call
call:
  %fp = getelementptr %step, ptr %steps, i64 %k, i32 0
  %ap = getelementptr %step, ptr %steps, i64 %k, i32 1
  %f = load ptr, ptr %fp
  %a = load ptr, ptr %ap
  call void %f(ptr %a)
  %k1 = add i64 %k, 1
  br label %head
done:
  ret void
}
