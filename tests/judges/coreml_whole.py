"""Neural networks of several layers: image inputs, labels, quantised weights."""

import coreml_numpy as ref
import numpy as np
from coreml_layers import CASES, filters, floats
from coremltools.models import datatypes
from coremltools.models.neural_network import NeuralNetworkBuilder, quantization_utils

W1, W2, W3, B3 = floats(8, 3, 3, 3), floats(16, 8, 3, 3) / 3, floats(10, 16) / 2, floats(10)
PHOTO = np.random.default_rng(5).integers(0, 256, (1, 3, 16, 12)).astype(np.uint8)
BIAS = (-0.5, -0.4, -0.3)  # of red, green, blue


def built(mode=None):
    """A small classifier of images [3, 16, 12]."""
    b = NeuralNetworkBuilder(
        [("image", datatypes.Array(3, 16, 12))], [("out", datatypes.Array(10))], mode=mode
    )
    more = {"groups": 1, "b": None, "has_bias": False}
    b.add_convolution("a", 3, 8, 3, 3, 2, 2, "same", W=filters(W1), input_name="image",
                      output_name="a", **more)  # fmt: skip
    b.add_activation("r", "RELU", "a", "r")
    b.add_pooling("p", 2, 2, 2, 2, "MAX", "VALID", "r", "p")
    b.add_convolution("c", 8, 16, 3, 3, 1, 1, "same", W=filters(W2), input_name="p",
                      output_name="c", **more)  # fmt: skip
    b.add_activation("s", "RELU", "c", "s")
    b.add_pooling("g", 1, 1, 1, 1, "AVERAGE", "VALID", "s", "g", is_global=True)
    b.add_inner_product("f", W3, B3, 16, 10, True, "g", "f")
    b.add_softmax("o", "f", "out")
    return b


def computed(image, w1=W1, w2=W2, w3=W3, b3=B3):
    y = ref.conv(image, w1, None, [2, 2], ref.same(image.shape[2:], (3, 3), (2, 2)))
    y = ref.pool(np.maximum(y, 0), "max", (2, 2), (2, 2))
    y = np.maximum(ref.conv(y, w2, None, None, [(1, 1), (1, 1)]), 0).mean((2, 3))
    return ref.softmax(y @ w3.T + b3)


def network():
    x = floats(3, 16, 12)
    return built().spec, {"image": x}, {"out": computed(x[None])[0]}


def classifier(labels, bgr):
    """An image in, scaled and shifted; a label and probabilities out."""

    def make():
        b = built("classifier")
        b.set_pre_processing_parameters(
            ["image"], is_bgr=bgr, image_scale=1 / 255, red_bias=BIAS[0], green_bias=BIAS[1],
            blue_bias=BIAS[2],
        )  # fmt: skip
        b.set_class_labels(labels, prediction_blob="out")
        shift = np.array(BIAS[::-1] if bgr else BIAS).reshape(3, 1, 1)
        found = computed(PHOTO / 255 + shift)
        best = found.argmax(1)
        said = best if isinstance(labels[0], str) else np.array(labels)[best]
        outputs = {o.name: None for o in b.spec.description.output}
        values = {"classLabel": np.int64(said)}
        for name in outputs:
            outputs[name] = values.get(name, found)
        return b.spec, {"image": PHOTO}, outputs

    return make


def quantised(bits, mode):
    """The weights as coremltools' quantiser leaves them, and what they are by their tables."""

    def make():
        spec = built().spec
        model = quantization_utils.quantize_weights(spec_model(spec), bits, mode)
        spec = model if not hasattr(model, "get_spec") else model.get_spec()
        x = floats(3, 16, 12)
        layers = {n.name: n for n in spec.neuralNetwork.layers}
        w1 = decoded(layers["a"].convolution.weights, W1.shape)
        w2 = decoded(layers["c"].convolution.weights, W2.shape)
        w3 = decoded(layers["f"].innerProduct.weights, W3.shape)
        b3 = decoded(layers["f"].innerProduct.bias, B3.shape)
        return spec, {"image": x}, {"out": computed(x[None], w1, w2, w3, b3)[0]}

    return make


def spec_model(spec):
    import coremltools as ct

    return ct.models.MLModel(spec, skip_model_load=True)


def decoded(w, shape):
    """Weights by loops over bits."""
    size = int(np.prod(shape))
    if w.floatValue:
        return np.array(w.floatValue).reshape(shape)
    if w.float16Value:
        return np.frombuffer(w.float16Value, np.float16).astype(float).reshape(shape)
    bits, text = w.quantization.numberOfBits, "".join(f"{b:08b}" for b in w.rawValue)
    codes = np.array([int(text[k * bits : (k + 1) * bits], 2) for k in range(size)])
    if w.quantization.HasField("lookupTableQuantization"):
        return np.array(w.quantization.lookupTableQuantization.floatValue)[codes].reshape(shape)
    scale = np.array(w.quantization.linearQuantization.scale)
    bias = np.array(w.quantization.linearQuantization.bias)
    each = codes.reshape(shape[0], -1)
    return (each * scale.reshape(-1, 1) + bias.reshape(-1, 1)).reshape(shape)


CASES["network"] = network
CASES["classifier of images"] = classifier([f"class {k}" for k in range(10)], False)
CASES["classifier with numbers"] = classifier([3 * k for k in range(10)], True)
for bits, mode in (
    (16, "linear"),
    (8, "linear"),
    (4, "linear"),
    (6, "linear_lut"),
    (1, "linear_lut"),
    (8, "linear_symmetric"),
):
    CASES[f"network of {bits} bits, {mode}"] = quantised(bits, mode)
