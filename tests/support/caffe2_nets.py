"""AlexNet, ResNet-50 and DenseNet-121 as Caffe2's model zoo lays them out, of any width, with
weights that their names decide and images of either order."""

from .caffe2_files import Net


class Layers:
    """Adds layers to a net; knows how many channels its images have."""

    def __init__(self, net, channels):
        self.net, self.channels = net, channels

    def conv(self, x, name, filters, kernel, bias=True, group=1, **args):
        last = self.net.order == "NHWC"
        shape = [filters, self.channels // group, kernel, kernel]
        shape = [shape[0], kernel, kernel, shape[1]] if last else shape
        inputs = [x, self.net.weight(f"{name}_w", shape)]
        if bias:
            inputs.append(self.net.weight(f"{name}_b", [filters], -0.1, 0.1))
        group = {"group": group} if group > 1 else {}
        args = {"kernel": kernel, "order": self.net.order, **group, **args}
        self.channels = filters
        return self.net.op("Conv", inputs, name, **args)

    def norm(self, x, name, scale=(0.5, 1.5)):
        """In place, as the zoo's nets have it."""
        bounds = {"s": scale, "b": (-0.2, 0.2), "rm": (-0.2, 0.2), "riv": (0.5, 1.5)}
        made = [self.net.weight(f"{name}_{k}", [self.channels], *v) for k, v in bounds.items()]
        args = {"is_test": 1, "epsilon": 1e-5, "order": self.net.order}
        return self.net.op("SpatialBN", [x, *made], x, **args)

    def relu(self, x):
        return self.net.op("Relu", x, x)

    def pool(self, x, name, kind="MaxPool", **args):
        return self.net.op(kind, x, name, order=self.net.order, **args)

    def fc(self, x, name, size, inputs):
        weights = [
            self.net.weight(f"{name}_w", [size, inputs]),
            self.net.weight(f"{name}_b", [size], -0.1, 0.1),
        ]
        return self.net.op("FC", [x, *weights], name)

    def end(self, x):
        self.net.outputs = [self.net.op("Softmax", x, "prob")]
        return self.net


def alexnet(order="NCHW", width=1.0, classes=1000, pixels=6):
    """Krizhevsky et al. 2012; ``pixels``: of the last pool along an axis, 6 for images of 227."""
    layers = Layers(Net(order), 3)
    net, wide = layers.net, [int(c * width) for c in (96, 256, 384, 384, 256, 4096)]
    norm = {"size": 5, "alpha": 1e-4, "beta": 0.75, "bias": 1.0, "order": order}
    x = layers.relu(layers.conv("data", "conv1", wide[0], 11, stride=4))
    x = net.op("LRN", x, "norm1 scale1", **norm)
    x = layers.pool(x, "pool1", kernel=3, stride=2)
    x = layers.relu(layers.conv(x, "conv2", wide[1], 5, group=2, pad=2))
    x = net.op("LRN", x, "norm2 scale2", **norm)
    x = layers.pool(x, "pool2", kernel=3, stride=2)
    x = layers.relu(layers.conv(x, "conv3", wide[2], 3, pad=1))
    x = layers.relu(layers.conv(x, "conv4", wide[3], 3, group=2, pad=1))
    x = layers.relu(layers.conv(x, "conv5", wide[4], 3, group=2, pad=1))
    x = layers.pool(x, "pool5", kernel=3, stride=2)
    size = wide[4] * pixels * pixels
    for name in ("fc6", "fc7"):
        x = layers.relu(layers.fc(x, name, wide[5], size))
        x = net.op("Dropout", x, [x, f"{name}_mask"], ratio=0.5, is_test=1)
        size = wide[5]
    return layers.end(layers.fc(x, "fc8", classes, size))


def resnet50(order="NCHW", width=1.0, classes=1000, blocks=(3, 4, 6, 3)):
    """He et al. 2015; sums are written over one of their parts."""
    layers = Layers(Net(order), 3)
    net = layers.net
    first = int(64 * width)
    x = layers.conv("data", "conv1", first, 7, False, stride=2, pad=3)
    x = layers.pool(layers.relu(layers.norm(x, "bn1")), "pool1", kernel=3, stride=2, pad=1)
    for k, count in enumerate(blocks):
        for b in range(count):
            name, inner, stride = f"res{k}_{b}", first << k, 2 if k and not b else 1
            short, channels = x, layers.channels
            y = layers.conv(x, f"{name}_a", inner, 1, False, stride=stride)
            y = layers.relu(layers.norm(y, f"{name}_a_bn"))
            y = layers.conv(y, f"{name}_b", inner, 3, False, pad=1)
            y = layers.relu(layers.norm(y, f"{name}_b_bn"))
            y = layers.conv(y, f"{name}_c", inner * 4, 1, False)
            y = layers.norm(y, f"{name}_c_bn", (0.2, 0.4))  # the sums do not grow from it
            if not b:
                layers.channels = channels
                short = layers.conv(x, f"{name}_s", inner * 4, 1, False, stride=stride)
                short = layers.norm(short, f"{name}_s_bn", (0.2, 0.4))
            x = layers.relu(net.op("Sum", [y, short], y))
    x = layers.pool(x, "pool5", "AveragePool", global_pooling=1)
    return layers.end(layers.fc(x, "pred", classes, layers.channels))


def densenet121(order="NCHW", growth=32, classes=1000, blocks=(6, 12, 24, 16)):
    """Huang et al. 2016; normalisation is followed by Mul and Add nowhere: SpatialBN has both."""
    layers = Layers(Net(order), 3)
    net = layers.net
    x = layers.conv("data", "conv1", 2 * growth, 7, False, stride=2, pad=3)
    x = layers.pool(layers.relu(layers.norm(x, "conv1_bn")), "pool1", kernel=3, stride=2, pad=1)
    for k, count in enumerate(blocks):
        for b in range(count):
            name, channels = f"conv{k + 2}_{b + 1}", layers.channels
            y = net.op("Concat", [x], [f"{name}_in", f"{name}_in_dims"], order=order)
            y = layers.relu(layers.norm(y, f"{name}_x1_bn"))
            y = layers.conv(y, f"{name}_x1", 4 * growth, 1, False)
            y = layers.conv(layers.relu(layers.norm(y, f"{name}_x2_bn")), f"{name}_x2", growth, 3,
                            False, pad=1)  # fmt: skip
            x = net.op("Concat", [x, y], [f"concat_{name}", f"concat_{name}_dims"], order=order)
            layers.channels = channels + growth
        x = layers.relu(layers.norm(x, f"conv{k + 2}_blk_bn"))
        if k + 1 < len(blocks):
            x = layers.conv(x, f"conv{k + 2}_blk", layers.channels // 2, 1, False)
            x = layers.pool(x, f"pool{k + 2}", "AveragePool", kernel=2, stride=2)
    x = layers.pool(x, "pool", "AveragePool", global_pooling=1)
    x = layers.conv(x, "fc6", classes, 1)
    return layers.end(net.op("Reshape", x, "fc6_flat fc6_shape", shape=[0, -1]))
