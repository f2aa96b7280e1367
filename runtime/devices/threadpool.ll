; The thread pool of CPU kernels, and the loop that runs a whole program.
;
; A launch cuts its range into a few chunks per thread. Each thread has a word of its own in @tickets
; (launch number, chunks left) and starts with the chunks of its own part of the range, so that a
; thread finds in its caches what it wrote there in the kernel before. A chunk is taken by lowering
; the word with a compare-and-swap; whoever is done with its own part, the caller included, goes on
; with the parts of the others, so a launch never waits for a worker that the system has not
; scheduled. The launch number in the word keeps a late worker from taking a chunk of a launch that
; it has not seen. The job's description is read only after a chunk was taken: from then until that
; chunk is reported done the launch cannot end, so the description stands still.
; Workers look at @launches, which changes with each launch. They spin for about a millisecond after
; their last chunk, because the kernels of a model follow each other within microseconds and its
; calls often too, and then sleep on a condition variable.
;
; Two Dekker-style hand-shakes need sequentially consistent accesses:
;   launch: caller writes @launches, then reads @sleepers;  worker raises @sleepers, then reads
;           @launches, so that one of them sees the other;
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

@tickets = internal global [1024 x [8 x i64]] zeroinitializer, align 64 ; of each thread, a cache
                                                      ; line apart: launch number << 32 | chunks
@launches = internal global i64 0, align 64           ; how many there have been
@pending = internal global i32 0, align 64            ; chunks that are not done
@sleepers = internal global i32 0, align 64           ; workers asleep or about to be
@waiting = internal global i32 0, align 64            ; 1: the caller sleeps or is about to
@busy = internal global i32 0, align 64               ; 1: the workers belong to a caller
@workers = internal global i32 0, align 64            ; threads besides the caller
@stop = internal global i32 0                         ; 1: workers return
@job_body = internal global ptr null, align 64
@job_closure = internal global ptr null
@job_begin = internal global i64 0
@job_count = internal global i64 0
@job_chunks = internal global i64 0
@job_threads = internal global i64 0

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

; The first of %n things that is thread %t's, if each of %threads has as many as the others or one
; more: t n / threads.
define internal i64 @share(i64 %n, i64 %t, i64 %threads) {
  %product = mul i64 %n, %t
  %first = udiv i64 %product, %threads
  ret i64 %first
}

; Takes one chunk out of thread %t's part of the current launch and runs it; false when there is none
; left to take. Of n iterations in c chunks chunk i has those from i n / c on.
define internal i1 @take(i64 %t) {
entry:
  %place = getelementptr [1024 x [8 x i64]], ptr @tickets, i64 0, i64 %t, i64 0
  br label %look
look:
  %word = load atomic i64, ptr %place seq_cst, align 8
  %left = and i64 %word, 4294967295
  %none = icmp eq i64 %left, 0
  br i1 %none, label %nothing, label %try
try:
  %less = sub i64 %word, 1
  %swap = cmpxchg ptr %place, i64 %word, i64 %less seq_cst seq_cst
  %taken = extractvalue { i64, i1 } %swap, 1
  br i1 %taken, label %run, label %look
run:
  %chunks = load i64, ptr @job_chunks
  %threads = load i64, ptr @job_threads
  %n = load i64, ptr @job_count
  %t1 = add i64 %t, 1
  %after = call i64 @share(i64 %chunks, i64 %t1, i64 %threads)
  %i = sub i64 %after, %left
  %i1 = add i64 %i, 1
  %from = call i64 @share(i64 %n, i64 %i, i64 %chunks)
  %to = call i64 @share(i64 %n, i64 %i1, i64 %chunks)
  %low = load i64, ptr @job_begin
  %begin = add i64 %low, %from
  %end = add i64 %low, %to
  %body = load ptr, ptr @job_body
  %closure = load ptr, ptr @job_closure
  call void %body(ptr %closure, i64 %begin, i64 %end)
  %before = atomicrmw sub ptr @pending, i32 1 seq_cst
  %last = icmp eq i32 %before, 1
  br i1 %last, label %report, label %done
report:
  %asleep = load atomic i32, ptr @waiting seq_cst, align 4
  %must = icmp ne i32 %asleep, 0
  br i1 %must, label %signal, label %done
signal:
  %l = call i32 @pthread_mutex_lock(ptr @mutex)
  %c = call i32 @pthread_cond_signal(ptr @finished)
  %u = call i32 @pthread_mutex_unlock(ptr @mutex)
  br label %done
done:
  ret i1 true
nothing:
  ret i1 false
}

; Runs what is to be had of the current launch: thread %self's own part, then the others' parts,
; those of the next threads first.
define internal void @help(i64 %self) {
entry:
  br label %own
own:
  %some = call i1 @take(i64 %self)
  br i1 %some, label %own, label %others
others:
  %workers = load i32, ptr @workers
  %more = zext i32 %workers to i64
  %threads = add i64 %more, 1
  br label %next
next:
  %k = phi i64 [ 0, %others ], [ %k1, %steal ]
  %k1 = add i64 %k, 1
  %round = icmp uge i64 %k1, %threads
  br i1 %round, label %done, label %aim
aim:
  %sum = add i64 %self, %k1
  %victim = urem i64 %sum, %threads
  br label %steal
steal:
  %got = call i1 @take(i64 %victim)
  br i1 %got, label %steal, label %next
done:
  ret void
}

; Whether a worker that has seen %seen launches has a reason to be awake: another one, or the end.
define internal i1 @called(i64 %seen) {
  %now = load atomic i64, ptr @launches seq_cst, align 8
  %some = icmp ne i64 %now, %seen
  %over = load atomic i32, ptr @stop seq_cst, align 4
  %leave = icmp ne i32 %over, 0
  %yes = or i1 %some, %leave
  ret i1 %yes
}

; A worker; its argument is its number, 1 for the first. It reads the number of launches before it
; helps: the parts of that launch were there then.
define internal ptr @worker(ptr %number) {
entry:
  %self = ptrtoint ptr %number to i64
  br label %work
work:
  %over = load atomic i32, ptr @stop seq_cst, align 4
  %leave = icmp ne i32 %over, 0
  br i1 %leave, label %exit, label %run
run:
  %seen = load atomic i64, ptr @launches seq_cst, align 8
  call void @help(i64 %self)
  %idle_since = call i64 @now()
  br label %spin
spin:
  %tries = phi i32 [ 0, %run ], [ %tries1, %again ], [ %tries1, %look ]
  %new0 = call i1 @called(i64 %seen)
  br i1 %new0, label %work, label %pause
pause:
  call void @pause(i32 %tries)
  %tries1 = add i32 %tries, 1
  %low = and i32 %tries1, 63
  %look_due = icmp eq i32 %low, 0
  br i1 %look_due, label %look, label %again
again:
  br label %spin
look:
  %time = call i64 @now()
  %idle = sub i64 %time, %idle_since
  %tired = icmp ugt i64 %idle, 1000000                ; nanoseconds
  br i1 %tired, label %sleep, label %spin
sleep:
  %l = call i32 @pthread_mutex_lock(ptr @mutex)
  %s = atomicrmw add ptr @sleepers, i32 1 seq_cst
  br label %check
check:
  %new1 = call i1 @called(i64 %seen)
  br i1 %new1, label %awake, label %wait
wait:
  %w = call i32 @pthread_cond_wait(ptr @wake, ptr @mutex)
  br label %check
awake:
  %s1 = atomicrmw sub ptr @sleepers, i32 1 seq_cst
  %u = call i32 @pthread_mutex_unlock(ptr @mutex)
  br label %work
exit:
  ret ptr null
}

; Wakes the workers that sleep; @launches or @stop has been written before.
define internal void @announce() {
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
  %threads = add i32 %workers, 1
  %wide = zext i32 %threads to i64
  %most = mul i64 %wide, 4                            ; chunks per thread: balance against overhead
  %chunks = call i64 @llvm.umin.i64(i64 %n, i64 %most)
  store i64 %chunks, ptr @job_chunks
  store i64 %wide, ptr @job_threads
  %count = trunc i64 %chunks to i32
  store atomic i32 %count, ptr @pending seq_cst, align 4
  %old = load atomic i64, ptr @launches seq_cst, align 8
  %number = add i64 %old, 1
  %high = shl i64 %number, 32
  br label %deal
deal:
  %t = phi i64 [ 0, %launch ], [ %t1, %deal ]
  %t1 = add i64 %t, 1
  %first = call i64 @share(i64 %chunks, i64 %t, i64 %wide)
  %after = call i64 @share(i64 %chunks, i64 %t1, i64 %wide)
  %part = sub i64 %after, %first
  %word = or i64 %high, %part
  %place = getelementptr [1024 x [8 x i64]], ptr @tickets, i64 0, i64 %t, i64 0
  store atomic i64 %word, ptr %place release, align 8
  %dealt = icmp eq i64 %t1, %wide
  br i1 %dealt, label %publish, label %deal
publish:
  store atomic i64 %number, ptr @launches seq_cst, align 8
  call void @announce()
  call void @help(i64 0)
  br label %settle
settle:
  br label %spin
spin:
  %tries = phi i32 [ 0, %settle ], [ %tries1, %again ]
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
  br label %create
create:
  %k = phi i32 [ 0, %start ], [ %k1, %created ]
  %enough = icmp uge i32 %k, %n
  br i1 %enough, label %ready, label %create_one
create_one:
  %k1 = add i32 %k, 1
  %kp = getelementptr [1024 x i64], ptr @handles, i64 0, i32 %k
  %number = zext i32 %k1 to i64
  %self = inttoptr i64 %number to ptr
  %e = call i32 @pthread_create(ptr %kp, ptr null, ptr @worker, ptr %self)
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

; The pthread_t of worker %k, 0 for the first.
define i64 @weft_pool_handle(i32 %k) {
  %p = getelementptr [1024 x i64], ptr @handles, i64 0, i32 %k
  %h = load i64, ptr %p
  ret i64 %h
}

; After a fork the child has no workers and may have inherited the state of a launch.
define void @weft_pool_forget() {
  store i32 0, ptr @workers
  store i32 0, ptr @pending
  call void @llvm.memset.p0.i64(ptr @tickets, i8 0, i64 65536, i1 false)
  store i32 0, ptr @sleepers
  store i32 0, ptr @waiting
  store i32 0, ptr @stop
  %m = call i32 @pthread_mutex_init(ptr @mutex, ptr null)
  %w = call i32 @pthread_cond_init(ptr @wake, ptr null)
  %f = call i32 @pthread_cond_init(ptr @finished, ptr null)
  store atomic i32 0, ptr @busy seq_cst, align 4
  ret void
}

declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)

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
