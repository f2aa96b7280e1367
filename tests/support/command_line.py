"""Small models and files for commands, and what they answer."""

import onnx
from PIL import Image
from weft.benchmarks.zoo.builder import Net
from weft.compiler.cli.main import main


def colour_model(dims=("N", 3, "H", "W"), channels_last=False):
    """Scores of red, green and blue: the mean of each channel."""
    n = Net("colours")
    x = n.input("image", list(dims))
    y = n.op("ReduceMean", x, axes=[1, 2] if channels_last else [2, 3], keepdims=0)
    return n.build(y, names=["scores"])


def two_inputs():
    n = Net("two")
    a, b = n.input("a", ["N", 2]), n.input("ids", ["N"], "int64")
    b = n.op("Unsqueeze", n.op("Cast", b, to=1), n.ints(1))
    return n.build(n.op("Add", a, b), names=["sum"])


def save(model, name="model.onnx"):
    onnx.save(model, name)
    return name


def image(colour, name="photo.png", size=(40, 30)):
    Image.new("RGB", size, colour).save(name)
    return name


def out(capsys):
    return capsys.readouterr().out


def failure(capsys, *argv):
    """The error text of a command that must end with exit code 1."""
    assert main(argv) == 1
    text = capsys.readouterr().err
    assert "Traceback" not in text
    return text[text.index("error: ") :]
