"""Cases of TensorFlow's operators: of images, of shapes, by indices."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from .graph_cases import RNG, case, raw, real, whole


def images() -> None:
    """Convolutions, pools, and what else has the axes of images."""
    x, w = real(2, 7, 8, 3), real(3, 2, 3, 4)
    for padding in ("SAME", "VALID"):
        for strides in ([1, 1, 1, 1], [1, 2, 3, 1]):
            case(
                f"Conv2D {padding} {strides[1]}",
                lambda a, b, p=padding, s=strides: raw.Conv2D(
                    input=a, filter=b, strides=s, padding=p
                ),
                x,
                w,
            )
    case(
        "Conv2D dilated",
        lambda a, b: raw.Conv2D(
            input=a, filter=b, strides=[1, 1, 1, 1], padding="SAME", dilations=[1, 2, 2, 1]
        ),
        x,
        w,
    )
    case(
        "Conv2D explicit",
        lambda a, b: raw.Conv2D(
            input=a,
            filter=b,
            strides=[1, 2, 2, 1],
            padding="EXPLICIT",
            explicit_paddings=[0, 0, 1, 2, 0, 1, 0, 0],
        ),
        x,
        w,
    )
    case(
        "Conv2D groups",
        lambda a, b: raw.Conv2D(input=a, filter=b, strides=[1, 1, 1, 1], padding="SAME"),
        real(1, 5, 5, 4),
        real(3, 3, 2, 6),
    )
    d = real(3, 3, 3, 2)
    for padding, strides, rates in (("SAME", 1, 1), ("VALID", 2, 1), ("SAME", 1, 2)):
        case(
            f"DepthwiseConv2dNative {padding} {strides} {rates}",
            lambda a, b, p=padding, s=strides, r=rates: raw.DepthwiseConv2dNative(
                input=a, filter=b, strides=[1, s, s, 1], padding=p, dilations=[1, r, r, 1]
            ),
            x,
            d,
        )
    for padding, size in (("SAME", (7, 8)), ("SAME", (8, 8)), ("VALID", (9, 10))):
        shape = [1, *size, 3]
        y = tf.nn.conv2d(
            np.zeros(shape, np.float32), np.zeros((3, 3, 3, 4), np.float32), 2, padding
        )
        case(
            f"Conv2DBackpropInput {padding} {size[0]}",
            lambda a, b, p=padding, s=shape: raw.Conv2DBackpropInput(
                input_sizes=s, filter=b, out_backprop=a, strides=[1, 2, 2, 1], padding=p
            ),
            real(*y.shape),
            real(3, 3, 3, 4),
        )
    case(
        "Conv3D",
        lambda a, b: raw.Conv3D(input=a, filter=b, strides=[1, 1, 2, 1, 1], padding="SAME"),
        real(1, 4, 5, 4, 2),
        real(2, 3, 2, 2, 3),
    )
    for padding in ("SAME", "VALID"):
        for name, key in (("AvgPool", "value"), ("MaxPool", "input")):
            case(
                f"{name} {padding}",
                lambda a, n=name, k=key, p=padding: getattr(raw, n)(
                    **{k: a}, ksize=[1, 3, 2, 1], strides=[1, 2, 2, 1], padding=p
                ),
                x,
            )
    for batch in (False, True):
        case(
            f"MaxPoolWithArgmax {batch}",
            lambda a, b=batch: list(
                raw.MaxPoolWithArgmax(
                    input=a,
                    ksize=[1, 2, 2, 1],
                    strides=[1, 2, 2, 1],
                    padding="VALID",
                    include_batch_in_index=b,
                )
            ),
            x,
        )
    c = [real(3, low=0.5) for _ in range(4)]
    case(
        "FusedBatchNormV3",
        lambda a: (
            raw.FusedBatchNormV3(
                x=a,
                scale=c[0],
                offset=c[1],
                mean=c[2],
                variance=np.abs(c[3]),
                epsilon=0.01,
                is_training=False,
            ).y
        ),
        x,
    )
    case("BiasAdd", lambda a, b: raw.BiasAdd(value=a, bias=b), x, c[0])
    case(
        "LRN",
        lambda a: raw.LRN(input=a, depth_radius=1, bias=1.5, alpha=0.3, beta=0.6),
        real(1, 3, 3, 6),
    )
    case(
        "Dilation2D",
        lambda a, b: raw.Dilation2D(
            input=a, filter=b, strides=[1, 2, 1, 1], rates=[1, 1, 2, 1], padding="SAME"
        ),
        x,
        real(2, 3, 3),
    )
    for size in ([11, 5], [14, 16], [1, 1], [3, 20]):
        for name in ("ResizeBilinear", "ResizeNearestNeighbor"):
            fn = getattr(raw, name)
            case(
                f"{name} {size}",
                lambda a, fn=fn, s=size: [
                    fn(images=a, size=s),
                    fn(images=a, size=s, align_corners=True),
                    fn(images=a, size=s, half_pixel_centers=True),
                ],
                x,
            )
    case(
        "ResizeBilinear uint8",
        lambda a: raw.ResizeBilinear(images=a, size=[5, 5]),
        whole(1, 4, 3, 2, low=0, high=255, dtype=np.uint8),
    )
    boxes = np.array([[0, 0, 1, 1], [0.2, 0.1, 0.7, 1.3], [0.8, 0.9, 0.1, 0.2]], np.float32)
    case(
        "CropAndResize",
        lambda a: raw.CropAndResize(
            image=a, boxes=boxes, box_ind=[1, 0, 1], crop_size=[4, 3], extrapolation_value=-1.0
        ),
        x,
    )
    case("DepthToSpace", lambda a: raw.DepthToSpace(input=a, block_size=2), real(1, 2, 3, 8))
    case("SpaceToDepth", lambda a: raw.SpaceToDepth(input=a, block_size=2), real(1, 4, 6, 3))
    case(
        "SpaceToBatchND",
        lambda a: raw.SpaceToBatchND(input=a, block_shape=[2, 3], paddings=[[1, 0], [0, 1]]),
        x,
    )
    case(
        "BatchToSpaceND",
        lambda a: raw.BatchToSpaceND(input=a, block_shape=[2, 3], crops=[[1, 0], [0, 2]]),
        real(12, 3, 2, 2),
    )


def moves() -> None:
    """Shapes, slices, padding."""
    x = real(3, 4, 5)
    case("Reshape", lambda a: raw.Reshape(tensor=a, shape=[-1, 10]), x)
    case(
        "Reshape computed",
        lambda a: tf.reshape(a, [tf.shape(a)[0], tf.reduce_prod(tf.shape(a)[1:])]),
        x,
    )
    case(
        "ExpandDims",
        lambda a: [raw.ExpandDims(input=a, axis=1), raw.ExpandDims(input=a, axis=-1)],
        x,
    )
    case(
        "Squeeze", lambda a: [raw.Squeeze(input=a), raw.Squeeze(input=a, axis=[-1])], real(1, 3, 1)
    )
    case("Transpose", lambda a: raw.Transpose(x=a, perm=[2, 0, 1]), x)
    case(
        "ConcatV2",
        lambda a, b: [
            raw.ConcatV2(values=[a, b], axis=-1),
            raw.Concat(concat_dim=1, values=[a, b]),
        ],
        x,
        x + 1,
    )
    case(
        "Pack",
        lambda a, b: [raw.Pack(values=[a, b], axis=1), raw.Pack(values=[a, b], axis=-1)],
        x,
        x,
    )
    case("Unpack", lambda a: list(raw.Unpack(value=a, num=4, axis=1)), x)
    case("Split", lambda a: list(raw.Split(axis=1, value=a, num_split=2)), x)
    case(
        "SplitV",
        lambda a: list(raw.SplitV(value=a, size_splits=[1, -1, 2], axis=2, num_split=3)),
        x,
    )
    case("Slice", lambda a: raw.Slice(input=a, begin=[1, 0, 2], size=[1, -1, 2]), x)
    case(
        "Slice computed",
        lambda a, b: raw.Slice(input=a, begin=b, size=[1, 2, 3]),
        x,
        np.array([1, 0, 2], np.int32),
    )
    for label, cut in {
        "range": np.s_[1:3, ::2, -1:-4:-1],
        "shrink": np.s_[-1, 1:, 2],
        "ellipsis": np.s_[..., 1:3],
        "new": np.s_[:, None, 0, ..., None],
        "beyond": np.s_[-9:9, 3:1, ::-2],
    }.items():
        case(f"StridedSlice {label}", lambda a, c=cut: a[c], x)
    case(
        "Pad",
        lambda a: [
            raw.Pad(input=a, paddings=[[0, 1], [2, 0], [1, 1]]),
            raw.PadV2(input=a, paddings=[[0, 1], [2, 0], [1, 1]], constant_values=7.0),
        ],
        x,
    )
    for mode in ("REFLECT", "SYMMETRIC"):
        case(
            f"MirrorPad {mode}",
            lambda a, m=mode: raw.MirrorPad(input=a, paddings=[[1, 2], [0, 1], [2, 2]], mode=m),
            x,
        )
    case("Tile", lambda a: raw.Tile(input=a, multiples=[2, 1, 3]), x)
    case("BroadcastTo", lambda a: raw.BroadcastTo(input=a, shape=[2, 3, 4]), real(3, 1))
    case("Fill", lambda a: raw.Fill(dims=[2, 3], value=a), np.float32(4))
    case("ReverseV2", lambda a: raw.ReverseV2(tensor=a, axis=[0, -1]), x)
    case(
        "ReverseSequence",
        lambda a: raw.ReverseSequence(input=a, seq_lengths=[1, 4, 2], seq_dim=1, batch_dim=0),
        x,
    )
    case("Roll", lambda a: raw.Roll(input=a, shift=[1, -2], axis=[0, 2]), x)
    case("Range", lambda a: a + raw.Range(start=2.0, limit=7.0, delta=1.0), real(5))
    case("LinSpace", lambda a: a + raw.LinSpace(start=-1.0, stop=3.0, num=5), real(5))
    case("Rank", lambda a: [raw.Rank(input=a), raw.Size(input=a), raw.Shape(input=a)], x)
    case("MatrixBandPart", lambda a: raw.MatrixBandPart(input=a, num_lower=1, num_upper=-1), x)
    case("MatrixDiagPart", lambda a: raw.MatrixDiagPart(input=a), x)
    case("MatrixDiag", lambda a: raw.MatrixDiag(diagonal=a), real(2, 3))
    case("MatrixSetDiag", lambda a, b: raw.MatrixSetDiag(input=a, diagonal=b), x, real(3, 4))


def indices() -> None:
    """Reading and writing by indices; results whose size data decide."""
    x = real(3, 4, 5)
    at = np.array([[0, 2], [1, 1]], np.int32)
    case(
        "GatherV2",
        lambda a, b: [raw.GatherV2(params=a, indices=b, axis=1), raw.Gather(params=a, indices=b)],
        x,
        at,
    )
    case(
        "GatherV2 batch",
        lambda a, b: raw.GatherV2(params=a, indices=b, axis=2, batch_dims=1),
        x[:2],
        at,
    )
    case("GatherNd", lambda a, b: raw.GatherNd(params=a, indices=b), x, at)
    case(
        "ScatterNd",
        lambda a, b: raw.ScatterNd(indices=b, updates=a, shape=[4, 5]),
        real(3, 5),
        np.array([[1], [3], [1]], np.int32),
    )
    case(
        "TensorScatterUpdate",
        lambda a, b: [
            raw.TensorScatterUpdate(tensor=a, indices=[[0, 1], [2, 3]], updates=b),
            raw.TensorScatterAdd(tensor=a, indices=[[0, 1], [2, 3]], updates=b),
        ],
        x,
        real(2, 5),
    )
    case(
        "SparseToDense",
        lambda a: raw.SparseToDense(
            sparse_indices=[[0, 1], [2, 0]],
            output_shape=[3, 3],
            sparse_values=a,
            default_value=-1.0,
        ),
        real(2),
    )
    case(
        "OneHot",
        lambda a: [
            raw.OneHot(indices=a, depth=4, on_value=2.0, off_value=-1.0),
            raw.OneHot(indices=a, depth=4, on_value=1.0, off_value=0.0, axis=0),
        ],
        np.array([[1, -1], [4, 3]], np.int32),
    )
    case("Where", lambda a: raw.Where(condition=a > 0.5), x)
    case(
        "Where and GatherNd",
        lambda a: raw.GatherNd(params=a, indices=raw.Where(condition=a > 0)),
        x,
    )
    case("boolean_mask", lambda a: tf.boolean_mask(a, tf.reduce_max(a, [1, 2]) > 1.9), x)
    case(
        "DynamicPartition",
        lambda a, b: list(raw.DynamicPartition(data=a, partitions=b, num_partitions=2)),
        real(4, 2),
        np.array([0, 1, 1, 0], np.int32),
    )
    case(
        "DynamicStitch",
        lambda a, b: raw.DynamicStitch(indices=[[0, 3], [2, 1, 0]], data=[a, b]),
        real(2, 3),
        real(3, 3),
    )
    corner = RNG.random((9, 2)).astype(np.float32)
    boxes = np.concatenate([corner, corner + 0.4], 1).astype(np.float32)
    scores = RNG.random(9).astype(np.float32)
    case(
        "NonMaxSuppressionV3",
        lambda a, b: raw.NonMaxSuppressionV3(
            boxes=a, scores=b, max_output_size=5, iou_threshold=0.3, score_threshold=0.2
        ),
        boxes,
        scores,
    )
    case(
        "NonMaxSuppressionV4",
        lambda a, b: list(
            raw.NonMaxSuppressionV4(
                boxes=a,
                scores=b,
                max_output_size=7,
                iou_threshold=0.3,
                score_threshold=0.2,
                pad_to_max_output_size=True,
            )
        ),
        boxes,
        scores,
    )
    case(
        "NonMaxSuppressionV5",
        lambda a, b: list(
            raw.NonMaxSuppressionV5(
                boxes=a,
                scores=b,
                max_output_size=5,
                iou_threshold=0.9,
                score_threshold=0.1,
                soft_nms_sigma=0.5,
            )
        ),
        boxes,
        scores,
    )
    open_places()


def open_places() -> None:
    """What is written where data decide, and shapes that they do: five numbers are positive."""
    a = np.array([[1, -1, 2, -3], [0.5, -2, -1, 3], [-1, -0.5, 4, -2]], np.float32)
    rows = np.linspace(-1, 1, 10, dtype=np.float32).reshape(5, 2)

    def places(a):
        return raw.Where(condition=a > 0)

    def shape(a, *more):
        return tf.stack([3, tf.minimum(tf.shape(places(a))[0], 7), *more])

    case(
        "ScatterNd at open places",
        lambda a, b: raw.ScatterNd(
            indices=tf.cast(places(a), tf.int32), updates=b, shape=[3, 4, 2]
        ),
        a,
        rows,
    )
    case(
        "ScatterNd of an open shape",
        lambda a, b: raw.ScatterNd(
            indices=tf.cast(places(a), tf.int32), updates=b, shape=shape(a, 2)
        ),
        a,
        rows,
    )
    case(
        "SparseToDense of an open shape",
        lambda a, b: raw.SparseToDense(
            sparse_indices=tf.cast(places(a), tf.int32),
            output_shape=shape(a),
            sparse_values=b,
            default_value=-1.0,
        ),
        a,
        rows[:, 0],
    )
    case(
        "tensordot of an open length",
        lambda a, b: tf.tensordot(
            tf.boolean_mask(a, tf.reduce_max(a, 1) > 2.5)[None], b, [[2], [0]]
        ),
        a,
        rows[:4],
    )
