"""Tensor expressions, schedules and loop nests: what a kernel computes, how, and its lowering.

``te.py`` is what a user imports; ``lower.py`` holds the pipeline from a schedule to a loop nest.

The grammar of the intermediate representation, in Zephyr ASDL (Wang et al., DSL'97) as Exo's LoopIR
has it: ``*`` is a tuple, ``?`` may be None. The meaning of a node stands in its docstring; nodes
never change, and two are the same only if they are one object. ::

    expr = Const(number value)
         | Var(str name, bool nonnegative)
         | IterVar(str name, bool nonnegative, expr minimum, expr extent, str kind, str tag)
         | Unary(Op op, expr a)
         | Binary(Op op, expr a, expr b)
         | Cast(expr value)
         | Reinterpret(expr value)
         | Select(expr cond, expr if_true, expr if_false)
         | Call(str name, expr* args)                              -- one of intrin.INTRINSICS
         | Read(Tensor tensor, expr* indices)                      -- in tensor expressions only
         | Reduce(Reducer reducer, expr* sources, IterVar* axes, expr condition, int index)
         | Load(Buffer buffer, expr* indices, expr? predicate)     -- in loop nests only
         | Ramp(expr base, expr stride, int lanes)
         | Broadcast(expr value, int lanes)
         attributes (DType dtype)

    stmt = Store(Buffer buffer, expr* indices, expr value, expr? predicate)
         | For(Var var, expr minimum, expr extent, ForKind kind, stmt body, str tag, hints pragmas)
         | If(expr cond, stmt then, stmt? otherwise, bool likely)
         | Seq(stmt* stmts)
         | Let(Var var, expr value, stmt body)
         | Alloc(Buffer buffer, stmt body)
         | Barrier(str scope)
         | Prefetch(Buffer buffer, expr* indices)
         | ForeignCall(Foreign function, expr* args, str* modes)     -- on processors only

    function  = Function(str name, param* params, stmt body, Buffer* writes, Attrs attrs)
    param     = Buffer | Var
    buffer    = Buffer(str name, DType dtype, expr* shape, str scope, Layout? layout, int alignment,
                       int layers)

    tensor    = Tensor(Operation op, int value_index, expr* shape, DType dtype)
    operation = PlaceholderOp(expr* shape, DType dtype)
              | ComputeOp(IterVar* axes, expr* body)
              | ScanOp(IterVar scan_axis, Tensor* init, Tensor* update, Tensor* state)
              | ExternOp(Tensor* reads, Buffer* ins, Buffer* outs, stmt body)
              attributes (str name, hints attrs)
    reducer   = Reducer(str name, Var* lhs, Var* rhs, expr* result, Const* identity)

    schedule  = Schedule(Tensor* outputs, Stage* stages)
    stage     = Stage(Operation op, str name, IterVar* axes, expr* body, IterVar* leaves,
                      relation* relations, Attach attach, str scope, Layout? layout)
    relation  = Split(IterVar parent, IterVar outer, IterVar inner, int? factor, int? nparts)
              | Fuse(IterVar outer, IterVar inner, IterVar fused)
    note      = Annotation(ForKind kind, str tag, hints pragmas)   -- of a loop in ``leaves``
              | PrefetchRequest(Tensor tensor, IterVar axis, int distance, share* shares)
    attach    = Attach(str kind, Stage? stage, IterVar? axis)      -- root, inline, at a loop
    trace     = Trace(TraceStep* steps)
    step      = TraceStep(str stage, str primitive, value* args)

A schedule and a stage are the only objects that change: by the primitives of ``transforms.py``,
``stage.py`` and ``schedule.py``, each of which adds a step to the trace.
"""
