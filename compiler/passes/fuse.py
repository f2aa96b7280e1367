"""Fusion: cutting a graph into groups, each of which becomes one kernel.

After Chen et al., "TVM" (OSDI 2018), section 3: a node may be computed together with its
immediate post-dominator -- the first node through which all of its results pass -- and with
everything on the ways between, if the kinds of the operators allow it::

        conv                    conv
       /    \\                  |    \\
    sigmoid  |                 relu   conv        (b)
       \\    /                  |    /
         mul      (a)            add

(a) ``mul`` post-dominates ``conv``: one kernel. (b) ``add`` post-dominates the upper ``conv``, but
another convolution lies between: two kernels.

Every group has one root, which post-dominates its other members; so everything that leaves a group
leaves from its root, and a cycle of groups would be a cycle of nodes: groups cannot be cyclic, and
their roots' order is an order for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce

from ..graph.graph import Graph, Node
from ..graph.group import Group
from ..ops import Kind, get
from ..types import TensorType

MAX_NODES = 32
MAX_BUFFERS = 16  # inputs and output, where a target says nothing else
MAX_TERMS = 64  # operators in the expression after inlining, shared ones counted each time

_EXIT = -1


def fuse(graph: Graph, max_buffers: int = 0) -> list[Group]:
    """The groups of ``graph``, in topological order; together they have each node once.

    A convolution or matrix product takes the elementwise and broadcasting operators after it that
    keep its shape; a reduction the injective ones before it; injective ones chain. A result that
    several groups read is computed once, in a group that ends with it. Where a kernel can be
    given ``max_buffers`` (0: so many that it does not matter), a group of several nodes leaves one
    of them for what passes between its kernels.
    """
    return _Fusion(graph, max_buffers - 1 if max_buffers else MAX_BUFFERS).run()


class _Fusion:
    def __init__(self, graph: Graph, max_buffers: int):
        self.graph, self.max_buffers = graph, max_buffers
        self.nodes = graph.nodes
        self.kinds = [
            Kind.OPAQUE if self._reads_too_much(n) else _kind(n, graph.types) for n in graph.nodes
        ]
        position = {id(n): k for k, n in enumerate(graph.nodes)}
        outputs = set(graph.outputs)
        self.readers: list[list[int]] = []
        self.final: list[bool] = []  # somebody outside of the graph reads it
        for n in graph.nodes:
            made = [o for o in n.outputs if o]
            self.readers.append(
                sorted({position[id(c)] for o in made for c in graph.consumers.get(o, ())})
            )
            self.final.append(any(o in outputs for o in made))
        self.group = [{k} for k in range(len(graph.nodes))]  # shared by the members

    def run(self) -> list[Group]:
        """The groups, in the order of their roots."""
        parent = self._post_dominators()
        # Convolutions first: an epilogue is worth more in them than in a chain of its own.
        for admit in (self._is_complex, self._is_broadcast, lambda k: True):
            for k, sink in enumerate(parent):
                if sink != _EXIT and admit(k):
                    self._try(k, sink)
        roots = {max(g): g for g in self.group}
        return [
            Group.of(self.graph, [self.nodes[k] for k in sorted(roots[r])]) for r in sorted(roots)
        ]

    def _is_complex(self, k: int) -> bool:
        return any(self.kinds[m] == Kind.COMPLEX for m in self.group[k])

    def _is_broadcast(self, k: int) -> bool:
        return self.kinds[k] <= Kind.BROADCAST

    def _post_dominators(self) -> list[int]:
        """Each node's immediate post-dominator; ``_EXIT`` for what leaves the graph: where the ways
        of its readers up the tree of post-dominators meet.

        The tree is climbed by pointers that lead far (Myers, "An applicative random-access stack",
        1983), so that a reader costs the logarithm of the depth.
        """
        parent, depth, jump = ([_EXIT] * (len(self.nodes) + 1) for _ in range(3))  # [-1] is _EXIT

        def meet(a: int, b: int) -> int:
            if depth[a] < depth[b]:
                a, b = b, a
            while depth[a] > depth[b]:
                a = jump[a] if depth[jump[a]] >= depth[b] else parent[a]
            while a != b:
                far = jump[a] != jump[b]
                a, b = (jump[a], jump[b]) if far else (parent[a], parent[b])
            return a

        for k in reversed(range(len(self.nodes))):
            leaves = self.final[k] or not self.readers[k]
            p = parent[k] = _EXIT if leaves else reduce(meet, self.readers[k])
            depth[k], far = depth[p] + 1, jump[p]
            even = depth[p] - depth[far] == depth[far] - depth[jump[far]]
            jump[k] = jump[far] if even else p
        return parent[:-1]

    def _try(self, k: int, sink: int) -> None:
        """Unite the groups of ``k``, of ``sink`` and of what lies between, if that is allowed."""
        if sink in self.group[k]:
            return
        union = set(self.group[k]) | self.group[sink]
        seen, stack = {k, sink}, [k]
        while stack:
            for r in self.readers[stack.pop()]:
                if r not in seen:
                    seen.add(r)
                    stack.append(r)
                    union |= self.group[r]
                    if len(union) > MAX_NODES:
                        return
        if self._allowed(sorted(union)):
            for m in union:
                self.group[m] = union

    def _allowed(self, members: Sequence[int]) -> bool:
        """Whether ``members`` (ascending) can be one kernel. The last one is its root."""
        root, inside = members[-1], set(members)
        if len(members) > MAX_NODES or any(self.kinds[m] == Kind.OPAQUE for m in members):
            return False
        if any(self.final[m] or not inside.issuperset(self.readers[m]) for m in members[:-1]):
            return False
        group = [self.nodes[m] for m in members]
        if self._buffers(group) > self.max_buffers:
            return False
        masters = [m for m in members if self.kinds[m] >= Kind.REDUCTION]
        if len(masters) > 1:
            return False
        points = self._size(root)
        if masters and self.kinds[masters[0]] == Kind.REDUCTION:
            sound = masters[0] == root
            points = max((self._type(i).size for i in self.nodes[root].inputs if i), default=0)
        else:
            sound = not masters or self._is_epilogue(members, masters[0])
        return sound and self._worthwhile(members, set(masters), points)

    def _reads_too_much(self, node: Node) -> bool:
        """Whether no group of several nodes can have ``node``, whatever else it has."""
        return len(node.inputs) > MAX_NODES and self._buffers([node]) > self.max_buffers + MAX_NODES

    def _buffers(self, group: Iterable[Node]) -> int:
        made = {o for n in group for o in n.outputs}
        read = {i for n in group for i in n.inputs if i and i not in made}
        return 1 + sum(i not in self.graph.constants or self._type(i).size != 1 for i in read)

    def _is_epilogue(self, members: Sequence[int], master: int) -> bool:
        """Whether all but ``master`` can be computed with each tile of its result: they come not
        before it, read only elements at the same place, and keep its shape."""
        shape = self._type(self.nodes[master].outputs[0]).shape
        if any(master in self.readers[m] for m in members[:-1]):
            return False
        after = {master}
        for m in members:
            if m == master:
                continue
            if self.kinds[m] > Kind.BROADCAST:
                return False
            made = self.nodes[m].outputs[0]
            if any(m in self.readers[a] for a in after):
                if self._type(made).shape != shape:
                    return False
                after.add(m)
        return True

    def _worthwhile(self, members: Sequence[int], masters: set[int], points: int) -> bool:
        """Whether inlining repeats no dear computation, and the expression stays small."""
        terms: dict[int, int] = {}
        for m in reversed(members):
            inner = [] if m == members[-1] else self.readers[m]  # all of them are members
            readers = [r for r in inner if r not in masters]
            into_master = len(readers) < len(inner)
            used = set(self.nodes[m].outputs)
            terms[m] = sum(
                terms[r] * sum(i in used for i in self.nodes[r].inputs) for r in readers
            ) + (1 if into_master or m == members[-1] else 0)
            if m in masters:
                terms[m] = 1  # stays a stage of its own, however often it is read
            elif points > self._size(m) and not get(self.nodes[m].op).is_cheap:
                return False
        return sum(terms.values()) <= MAX_TERMS

    def _type(self, name: str):
        return self.graph.types[name]

    def _size(self, k: int) -> int:
        return self._type(self.nodes[k].outputs[0]).size


def _kind(node: Node, types: Mapping[str, TensorType]) -> Kind:
    """The operator's kind; what has several results stays alone, and so does a copy that is there
    to change the layout: what it copies is computed in a layout of its own."""
    if len(node.outputs) != 1 or not node.outputs[0]:
        return Kind.OPAQUE
    if node.op == "identity" and types[node.inputs[0]].layout != types[node.outputs[0]].layout:
        return Kind.OPAQUE
    return get(node.op).kind
