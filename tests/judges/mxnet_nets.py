"""Networks of Gluon's model zoo that the judge writes and answers for."""


def networks(mx):
    """Rows of a name, a network, the shape of images for CI (None: not there) and in full."""
    from mxnet.gluon.model_zoo import vision

    small, full = (1, 3, 64, 64), (1, 3, 224, 224)
    rows = [
        ("lenet", lenet(mx), (1, 1, 28, 28), (1, 1, 28, 28)),
        ("squeezenet1.1", vision.squeezenet1_1(prefix="net_"), full, full),
        ("mobilenet0.25", vision.mobilenet0_25(prefix="net_"), small, full),
        ("mobilenetv2_0.25", vision.mobilenet_v2_0_25(prefix="net_"), small, full),
        ("resnet18_v1", vision.resnet18_v1(prefix="net_", thumbnail=False), None, full),
        ("resnet_v1", resnet(vision, 1), small, None),
        ("resnet_v2", resnet(vision, 2), small, None),
        ("densenet", densenet(), (1, 3, 112, 112), None),
        ("resnet18_v2", vision.resnet18_v2(prefix="net_"), None, full),
        ("mobilenetv2_1.0", vision.mobilenet_v2_1_0(prefix="net_"), None, full),
        ("densenet121", vision.densenet121(prefix="net_"), None, full),
        ("alexnet", vision.alexnet(prefix="net_"), None, full),
        ("vgg11_bn", vision.vgg11_bn(prefix="net_"), None, full),
        ("inceptionv3", vision.inception_v3(prefix="net_"), None, (1, 3, 299, 299)),
    ]
    yield from rows


def lenet(mx):
    """LeCun et al. 1998, with tanh and maxima."""
    nn = mx.gluon.nn
    net = nn.HybridSequential(prefix="net_")
    with net.name_scope():
        net.add(nn.Conv2D(20, 5, activation="tanh"), nn.MaxPool2D(2, 2))
        net.add(nn.Conv2D(50, 5, activation="tanh"), nn.MaxPool2D(2, 2))
        net.add(nn.Dense(500, activation="tanh"), nn.Dense(10))
    return net


def resnet(vision, version):
    """ResNet-18 of an eighth of its width."""
    block = vision.BasicBlockV1 if version == 1 else vision.BasicBlockV2
    kind = vision.ResNetV1 if version == 1 else vision.ResNetV2
    return kind(block, [2, 2, 2, 2], [8, 8, 16, 32, 64], classes=10, prefix="net_")


def densenet():
    """A DenseNet of three short blocks."""
    from mxnet.gluon.model_zoo.vision import DenseNet

    return DenseNet(8, 4, [2, 3, 2], classes=10, prefix="net_")
