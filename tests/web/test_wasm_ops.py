"""Every operator on wasm under Node against its numpy reference: all cases in one module."""

import pytest
from op_cases import Case, all_cases
from web.case_graph import case_graph
from web.wasm_node import NodeRunner, need_tools
from weft.compiler import driver
from weft.compiler.cache import kernel_cache
from weft.compiler.group import Group
from weft.ir.target import Target


def first_of_each() -> list[Case]:
    seen: dict[str, Case] = {}
    for case in all_cases():
        seen.setdefault(case.op, case)
    return list(seen.values())


def run(cases: list[Case], target: str, folder, threads: int = 1) -> None:
    """Compile a kernel of each case, run all of them, and name every case that is wrong."""
    need_tools()
    graph, feeds = case_graph(cases)
    groups = [Group.of(graph, [n]) for n in graph.nodes]
    exe = driver.assemble(graph, groups, Target.parse(target), kernel_cache())
    runner = NodeRunner(folder)
    runner.add_executable(exe, feeds)
    [answer] = runner.run(threads)
    wrong = []
    for i, case in enumerate(cases):
        try:
            case.check([answer.outputs[f"case{i}.{k}"] for k in range(len(case.out_types()))])
        except AssertionError as e:
            wrong.append(f"{case.id}: {e}")
    assert not wrong, f"{len(wrong)} of {len(cases)} cases:\n" + "\n".join(wrong[:20])


def test_every_operator(tmp_path):
    run(first_of_each(), "wasm", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("target, threads", [("wasm", 1), ("wasm -threads", 3)])
def test_every_case(target, threads, tmp_path):
    run(list(all_cases()), target, tmp_path, threads)
