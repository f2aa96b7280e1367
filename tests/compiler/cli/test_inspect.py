"""``weft inspect``, and the words that say how a model is read."""

import onnx
import pytest
import weft
from onnx import TensorProto, helper
from support import toy_frontend
from support.command_line import failure, out, save, two_inputs
from weft.compiler.cli.main import main
from weft.compiler.frontends.table import FRONTENDS, register_frontend


@pytest.fixture
def strange(tmp_path):
    """A model with an operator that nobody has, and one in a branch of an ``If``."""
    cond = helper.make_tensor("c", TensorProto.BOOL, [], [True])
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 2]) for n in "xy")
    z = helper.make_tensor_value_info("z", TensorProto.FLOAT, None)

    def branch(name, op, domain=""):
        node = helper.make_node(op, ["x"], ["z"], name=f"in {name}", domain=domain)
        return helper.make_graph([node], name, [], [z])

    nodes = [
        helper.make_node(
            "If", ["c"], ["w"], then_branch=branch("then", "Relu"),
            else_branch=branch("other", "Odd", "of.mine"),
        ),
        helper.make_node("Even", ["w"], ["y"], name="last", domain="of.mine"),
        helper.make_node("Never", ["x"], ["dead"], name="unread", domain="of.mine"),
    ]  # fmt: skip
    graph = helper.make_graph(nodes, "strange", [x], [y], [cond])
    sets = [helper.make_opsetid("", 17), helper.make_opsetid("of.mine", 1)]
    model = helper.make_model(graph, opset_imports=sets, ir_version=9, producer_name="somebody")
    onnx.save(model, tmp_path / "strange.onnx")
    return tmp_path / "strange.onnx"


def test_a_model_that_weft_has_all_of(tmp_path, capsys):
    save(two_inputs(), tmp_path / "m.onnx")
    assert main(["inspect", str(tmp_path / "m.onnx")]) == 0
    text = out(capsys)
    assert text.startswith("format      ONNX, IR version") and "weft has every operator" in text


def test_all_that_is_missing_with_the_nodes(strange, capsys):
    assert main(["inspect", str(strange)]) == 1
    text = out(capsys)
    assert "producer    somebody" in text and "x: float32[n, 2]" in text
    assert "operator of.mine::Odd: nodes 'in other'" in text
    assert "operator of.mine::Even: nodes 'last'" in text and "Never" not in text


def test_what_no_name_tells(tmp_path, capsys):
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 1, 4, 4]) for n in "xy")
    node = helper.make_node("GridSample", ["x", "g"], ["y"], name="odd", mode="unheard")
    g = helper.make_tensor_value_info("g", TensorProto.FLOAT, [1, 4, 4, 2])
    graph = helper.make_graph([node], "g", [x, g], [y])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9),
        tmp_path / "m.onnx",
    )
    code = main(["inspect", str(tmp_path / "m.onnx")])
    assert code in (0, 1) and "GridSample" in out(capsys)


def test_a_package(tmp_path, capsys):
    save(two_inputs(), tmp_path / "m.onnx")
    weft.compile(tmp_path / "m.onnx", shapes={"N": 2}).save(tmp_path / "m.weft")
    assert main(["inspect", str(tmp_path / "m.weft")]) == 0
    assert "target      llvm" in out(capsys)


def test_no_model(tmp_path, capsys):
    (tmp_path / "text").write_text("no model")
    assert "not readable as ONNX" in failure(capsys, "inspect", str(tmp_path / "text"))
    assert "there is no file" in failure(capsys, "inspect", str(tmp_path / "absent"))


@pytest.fixture
def toy():
    before = dict(FRONTENDS)
    register_frontend(toy_frontend.ROW)
    yield
    FRONTENDS.clear()
    FRONTENDS.update(before)


def test_a_format_may_be_named(toy, tmp_path, capsys):
    path = tmp_path / "m"
    path.write_text("toy 1\nscale 2.5\nshape 2 3\n")
    assert main(["compile", str(path), "--format", "toy", "-o", str(tmp_path / "m.weft")]) == 0
    assert "there is no format 'odd'" in failure(capsys, "compile", str(path), "--format", "odd")
    text = failure(capsys, "compile", str(path), "--signature", "serve")
    assert "signature means nothing for a model of the format 'toy'" in text
    assert "cannot describe" in failure(capsys, "inspect", str(path))
    text = failure(capsys, "check", str(path), "--against", "onnxruntime")
    assert "this one's format is toy" in text
