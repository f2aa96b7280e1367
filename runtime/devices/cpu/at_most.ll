; Parallel loops of a program that was compiled for fewer threads than the pool may have. It is one
; module with threadpool.ll. Written by hand: body(closure, b, e) for parts [b, e) of [begin, end),
; as weft_parallel_for, but in no more parts than `most`, so that no more threads than that have any.

%weft_loop = type { ptr, ptr, i64, i64, i64 } ; body, closure, begin, count, parts

define internal void @weft_parts(ptr %loop, i64 %from, i64 %to) {
entry:
  %closure.at = getelementptr %weft_loop, ptr %loop, i32 0, i32 1
  %begin.at = getelementptr %weft_loop, ptr %loop, i32 0, i32 2
  %count.at = getelementptr %weft_loop, ptr %loop, i32 0, i32 3
  %parts.at = getelementptr %weft_loop, ptr %loop, i32 0, i32 4
  %body = load ptr, ptr %loop
  %closure = load ptr, ptr %closure.at
  %begin = load i64, ptr %begin.at
  %count = load i64, ptr %count.at
  %parts = load i64, ptr %parts.at
  br label %next

next:
  %part = phi i64 [ %from, %entry ], [ %after, %next ]
  %after = add i64 %part, 1
  %scaled.first = mul i64 %count, %part
  %scaled.last = mul i64 %count, %after
  %first = udiv i64 %scaled.first, %parts
  %last = udiv i64 %scaled.last, %parts
  %b = add i64 %begin, %first
  %e = add i64 %begin, %last
  call void %body(ptr %closure, i64 %b, i64 %e)
  %more = icmp slt i64 %after, %to
  br i1 %more, label %next, label %done

done:
  ret void
}

define void @weft_parallel_for_at_most(ptr %body, ptr %closure, i64 %begin, i64 %end, i64 %most) {
entry:
  %workers = load atomic i32, ptr @workers monotonic, align 64
  %others = zext i32 %workers to i64
  %few = icmp ult i64 %others, %most
  br i1 %few, label %all, label %some

all:
  call void @weft_parallel_for(ptr %body, ptr %closure, i64 %begin, i64 %end)
  ret void

some:
  %loop = alloca %weft_loop, align 8
  %closure.at = getelementptr %weft_loop, ptr %loop, i32 0, i32 1
  %begin.at = getelementptr %weft_loop, ptr %loop, i32 0, i32 2
  %count.at = getelementptr %weft_loop, ptr %loop, i32 0, i32 3
  %parts.at = getelementptr %weft_loop, ptr %loop, i32 0, i32 4
  %count = sub i64 %end, %begin
  %fewer = icmp slt i64 %count, %most
  %parts = select i1 %fewer, i64 %count, i64 %most
  store ptr %body, ptr %loop
  store ptr %closure, ptr %closure.at
  store i64 %begin, ptr %begin.at
  store i64 %count, ptr %count.at
  store i64 %parts, ptr %parts.at
  call void @weft_parallel_for(ptr @weft_parts, ptr %loop, i64 0, i64 %parts)
  ret void
}
