"""ML programs that move elements or resize images."""

import coreml_numpy as ref
import numpy as np
from coreml_programs import PLANE, X, case, floats
from coremltools.converters.mil.mil import Builder as mb

# --- shapes -----------------------------------------------------------------------------------

case("reshape", lambda x: mb.reshape(x=x, shape=[3, -1, 2]), {"x": X})
case("reshape to a shape of data", lambda x: mb.reshape(x=x, shape=mb.concat(
    values=[mb.slice_by_index(x=mb.shape(x=x), begin=[1], end=[2]), [-1]], axis=0)), {"x": X},
    lambda x: x.reshape(3, -1))  # fmt: skip
case("reshape_like", lambda x, y: mb.reshape_like(
    x=x, ref_tensors=(y, y), begins=[0, 1], ends=[1, 3], end_masks=[False, False]),
    {"x": X, "y": floats(4, 3, 2)}, lambda x, y: x.reshape(4, 3, 2), 16)  # fmt: skip
case("expand_dims", lambda x: mb.expand_dims(x=x, axes=[0, -1]), {"x": X})
case("squeeze", lambda x: mb.squeeze(x=x, axes=[0, 2]), {"x": floats(1, 3, 1, 2)})
case("squeeze of all", lambda x: mb.squeeze(x=x), {"x": floats(1, 3, 1, 2)})
case("transpose", lambda x: mb.transpose(x=x, perm=[2, 0, 1]), {"x": X})
case("reverse", lambda x: mb.reverse(x=x, axes=[0, -1]), {"x": X})
case("reverse_sequence", lambda x: mb.reverse_sequence(
    x=x, lengths=[1, 3], seq_axis=1, batch_axis=0), {"x": X},
    lambda x: np.stack([x[0], x[1][::-1]]))  # fmt: skip
case("slice_by_index", lambda x: mb.slice_by_index(
    x=x, begin=[0, -1, 1], end=[1, -3, 4], stride=[1, -2, 2], begin_mask=[False] * 3,
    end_mask=[True, False, False], squeeze_mask=[False] * 3), {"x": X},
    lambda x: x[0:, -1:-3:-2, 1:4:2])  # fmt: skip
case(
    "slice_by_index that squeezes",
    lambda x: mb.slice_by_index(
        x=x,
        begin=[1, 0, -2],
        end=[2, 0, 0],
        begin_mask=[False, True, False],
        end_mask=[False, True, False],
        squeeze_mask=[True, False, True],
    ),
    {"x": X},
)
case(
    "slice_by_index at a place of data",
    lambda x, at: mb.slice_by_index(
        x=x,
        begin=mb.concat(values=[at, [0], [0]], axis=0),
        end=[0, 0, 0],
        begin_mask=[False, True, True],
        end_mask=[False, True, True],
        squeeze_mask=[True, False, False],
    ),
    {"x": X, "at": np.int32([-1])},
    lambda x, at: x[-1],
)
case("slice_by_size", lambda x: mb.slice_by_size(x=x, begin=[1, 0, 2], size=[1, -1, 2]), {"x": X})
case("slice_by_size at places of data", lambda x, at: mb.slice_by_size(
    x=x, begin=at, size=[1, 2, 2]), {"x": X, "at": np.int32([1, 1, 0])},
    lambda x, at: x[1:2, 1:3, 0:2])  # fmt: skip
U = floats(2, 1, 2)


def updated(x):
    y = x.copy()
    y[:, 1:2, ::3] = U
    return y


case(
    "slice_update",
    lambda x: mb.slice_update(
        x=x,
        update=U,
        begin=[0, 1, 0],
        end=[0, 2, 0],
        stride=[1, 1, 3],
        begin_mask=[True, False, True],
        end_mask=[True, False, True],
    ),
    {"x": X},
    updated,
    18,
)
case("concat", lambda x, y: mb.concat(values=(x, y), axis=-2), {"x": X, "y": floats(2, 1, 4)})
case(
    "concat interleaved",
    lambda x, y: mb.concat(values=(x, y), axis=1, interleave=True),
    {"x": X, "y": X * 2},
    lambda x, y: np.stack([x, y], 2).reshape(2, 6, 4),
    own=False,
)
case("stack", lambda x, y: mb.stack(values=(x, y), axis=-1), {"x": X, "y": X * 2})
case("split", lambda x: mb.split(x=x, num_splits=2, axis=-1), {"x": X})
case("split to sizes", lambda x: mb.split(x=x, split_sizes=[1, 2], axis=1), {"x": X})
for mode in ("constant", "reflect", "replicate"):
    case(f"pad {mode}", lambda x, m=mode: mb.pad(
        x=x, pad=[1, 1, 2, 0], mode=m, constant_val=0.5), {"x": X})  # fmt: skip
case("crop", lambda x: mb.crop(x=x, crop_height=[1, 2], crop_width=[0, 1]), {"x": PLANE},
     lambda x: x[:, :, 1:-2, :-1])  # fmt: skip
case("tile", lambda x: mb.tile(x=x, reps=[1, 2, 3]), {"x": X})
case("fill", lambda x: mb.add(x=x, y=mb.fill(shape=[2, 1, 4], value=0.5)), {"x": X})
case("fill_like", lambda x: mb.add(x=x, y=mb.fill_like(ref_tensor=x, value=0.5)), {"x": X},
     lambda x: x + 0.5, 16, own=False)  # fmt: skip
case("shape", lambda x: mb.shape(x=x), {"x": X})
case("flatten2d", lambda x: mb.flatten2d(x=x, axis=-1), {"x": X})
case("range_1d", lambda x: mb.add(x=x, y=mb.range_1d(start=0.0, end=2.0, step=0.5)), {"x": X})
case("band_part", lambda x: mb.band_part(x=x, lower=1, upper=0), {"x": X},
     lambda x: np.triu(np.tril(x), -1))  # fmt: skip


def to_depth(x, b, channels_last):
    n, c, h, w = x.shape
    x = x.reshape(n, c, h // b, b, w // b, b)
    order = (0, 1, 3, 5, 2, 4) if channels_last else (0, 3, 5, 1, 2, 4)
    return x.transpose(order).reshape(n, c * b * b, h // b, w // b)


def to_space(x, b, channels_first):
    n, c, h, w = x.shape
    if channels_first:
        x = x.reshape(n, c // b // b, b, b, h, w).transpose(0, 1, 4, 2, 5, 3)
    else:
        x = x.reshape(n, b, b, c // b // b, h, w).transpose(0, 3, 4, 1, 5, 2)
    return x.reshape(n, c // b // b, h * b, w * b)


DEEP, WIDE = floats(1, 8, 2, 3), floats(1, 2, 4, 6)
case("depth_to_space", lambda x: mb.depth_to_space(x=x, block_size=2), {"x": DEEP},
     lambda x: to_space(x, 2, False))  # fmt: skip
case("pixel_shuffle", lambda x: mb.pixel_shuffle(x=x, upscale_factor=2), {"x": DEEP},
     lambda x: to_space(x, 2, True))  # fmt: skip
case("space_to_depth", lambda x: mb.space_to_depth(x=x, block_size=2), {"x": WIDE},
     lambda x: to_depth(x, 2, False))  # fmt: skip
case("pixel_unshuffle", lambda x: mb.pixel_unshuffle(x=x, downscale_factor=np.uint32(2)),
     {"x": WIDE}, lambda x: to_depth(x, 2, True), 16)  # fmt: skip
case("space_to_batch", lambda x: mb.space_to_batch(
    x=x, block_shape=[2, 2], paddings=[[1, 1], [0, 0]]), {"x": WIDE},
    lambda x: np.concatenate([np.pad(x, [(0, 0), (0, 0), (1, 1), (0, 0)])[:, :, i::2, j::2]
                              for i in (0, 1) for j in (0, 1)]))  # fmt: skip


def from_batch(x):
    y = np.zeros((1, 2, 4, 6), np.float32)
    for k in range(4):
        y[:, :, k // 2 :: 2, k % 2 :: 2] = x[k]
    return y[:, :, 1:, :-1]


case(
    "batch_to_space",
    lambda x: mb.batch_to_space(x=x, block_shape=[2, 2], crops=[[1, 0], [0, 1]]),
    {"x": floats(4, 2, 2, 3)},
    from_batch,
)
case(
    "sliding_windows",
    lambda x: mb.sliding_windows(x=x, axis=1, size=2, stride=2),
    {"x": floats(2, 7, 3)},
    lambda x: np.stack([x[:, k : k + 2] for k in (0, 2, 4)], 1),
)

# --- places -----------------------------------------------------------------------------------

AT = np.int32([[1, -1], [0, 2]])
case("gather", lambda x: mb.gather(x=x, indices=AT, axis=1), {"x": X},
     lambda x: np.take(x, AT, 1))  # fmt: skip
case("gather in batches", lambda x: mb.gather(x=x, indices=AT, axis=2, batch_dims=1), {"x": X},
     lambda x: np.stack([x[b][:, AT[b]] for b in (0, 1)]), 16)  # fmt: skip
ALONG = np.int32([[[1, 0, 2, 1]], [[2, 2, 0, 1]]])
case("gather_along_axis", lambda x: mb.gather_along_axis(x=x, indices=ALONG, axis=1), {"x": X},
     lambda x: np.take_along_axis(x, ALONG, 1))  # fmt: skip
case("gather_nd", lambda x: mb.gather_nd(x=x, indices=np.int32([[1, 2], [0, 1]])), {"x": X},
     lambda x: x[[1, 0], [2, 1]])  # fmt: skip
case("gather_nd in batches", lambda x: mb.gather_nd(
    x=x, indices=np.int32([[2], [1]]), batch_dims=1), {"x": X},
    lambda x: np.stack([x[0, 2], x[1, 1]]), 16)  # fmt: skip
NEW = floats(2, 2, 4, low=0.5)
OPS = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide,
       "max": np.maximum, "min": np.minimum}  # fmt: skip


def scattered(x, mode):
    y = x.copy()
    for k, at in enumerate((2, 0)):
        y[:, at] = NEW[:, k] if mode == "update" else OPS[mode](y[:, at], NEW[:, k])
    return y


for mode in ("update", *OPS):
    case(f"scatter {mode}", lambda x, m=mode: mb.scatter(
        data=x, indices=np.int32([2, 0]), updates=NEW, axis=1, mode=m), {"x": X},
        lambda x, m=mode: scattered(x, m))  # fmt: skip


def scattered_along(x):
    y = x.copy()
    for b in range(2):
        for k in range(4):
            y[b, ALONG[b, 0, k], k] += NEW[b, 0, k]
    return y


case(
    "scatter_along_axis",
    lambda x: mb.scatter_along_axis(data=x, indices=ALONG, updates=NEW[:, :1], axis=1, mode="add"),
    {"x": X},
    scattered_along,
    own=False,
)  # its own inference does not know the mode


def scattered_nd(x):
    y = x.copy()
    y[1, 2], y[0, 1] = NEW[0, 0], NEW[0, 1]
    return y


case("scatter_nd", lambda x: mb.scatter_nd(
    data=x, indices=np.int32([[1, 2], [0, 1]]), updates=NEW[0], mode="update"), {"x": X},
    scattered_nd)  # fmt: skip
case("one_hot", lambda x: mb.one_hot(
    indices=x, one_hot_vector_size=4, axis=1, on_value=2.0, off_value=-1.0),
    {"x": np.int32([[0, 3], [2, 1]])},
    lambda x: np.moveaxis(np.where(np.eye(4)[x] > 0, 2.0, -1.0), -1, 1))  # fmt: skip

# --- images -----------------------------------------------------------------------------------

case("upsample_nearest_neighbor", lambda x: mb.upsample_nearest_neighbor(
    x=x, scale_factor_height=2, scale_factor_width=3), {"x": PLANE},
    lambda x: x.repeat(2, -2).repeat(3, -1))  # fmt: skip
case("resize_nearest_neighbor", lambda x: mb.resize_nearest_neighbor(
    x=x, target_size_height=5, target_size_width=9), {"x": PLANE},
    lambda x: x[:, :, np.arange(5) * 7 // 5][..., np.arange(9) * 6 // 9])  # fmt: skip
for corners in (True, False):
    case(f"upsample_bilinear {corners}", lambda x, c=corners: mb.upsample_bilinear(
        x=x, scale_factor_height=2.0, scale_factor_width=1.5, align_corners=c), {"x": PLANE},
        lambda x, c=corners: ref.resize(
            x, (14, 9), "STRICT_ALIGN_CORNERS" if c else "UNALIGN_CORNERS"))  # fmt: skip
for mode in ref.SAMPLING:
    case(f"resize_bilinear {mode}", lambda x, m=mode: mb.resize_bilinear(
        x=x, target_size_height=10, target_size_width=4, sampling_mode=m), {"x": PLANE},
        lambda x, m=mode: ref.resize(x, (10, 4), m))  # fmt: skip
case("resize", lambda x: mb.resize(
    x=x, shape=np.int32([0, 9]), resized_dims=np.uint32(2), interpolation_mode="LINEAR",
    sampling_mode="ALIGN_CORNERS"), {"x": PLANE},
    lambda x: ref.resize(x, (7, 9), "ALIGN_CORNERS"), 17)  # fmt: skip
BOXES = np.float32([[0.1, 0.2, 0.8, 0.9], [0.0, 0.5, 0.5, 0.6], [0.3, 0.1, 0.9, 1.0]])
PAIR = floats(2, 3, 6, 5)
for mode in ref.SAMPLING[:4]:
    case(f"crop_resize {mode}", lambda x, b, m=mode: mb.crop_resize(
        x=x, roi=b, target_height=3, target_width=4, normalized_coordinates=True,
        sampling_mode=m), {"x": PAIR, "b": BOXES.reshape(3, 1, 4, 1, 1)},
        lambda x, b, m=mode: np.stack([np.stack([ref.crop(i, r, (3, 4), m, 1.0, True) for i in x])
                                       for r in BOXES]))  # fmt: skip
case("crop_resize of boxes alone", lambda x, b: mb.crop_resize(
    x=x, boxes=b, box_indices=np.int32([1, 0, 1]), target_height=2, target_width=2,
    spatial_scale=3.0, box_coordinate_mode="CORNERS_WIDTH_FIRST", sampling_mode="OFFSET_CORNERS"),
    {"x": PAIR, "b": BOXES}, lambda x, b: np.stack([
        ref.crop(x[k], r[[1, 0, 3, 2]], (2, 2), "OFFSET_CORNERS", 3.0)
        for k, r in zip((1, 0, 1), b)]), 17)  # fmt: skip
GRID = np.stack(np.meshgrid(np.linspace(-0.9, 0.9, 4), np.linspace(-1, 0.5, 3)), -1)[None]
case(
    "resample",
    lambda x: mb.resample(
        x=x,
        coordinates=GRID.astype(np.float32),
        sampling_mode="bilinear",
        padding_mode="border",
        padding_value=0.0,
        coordinates_mode="normalized_minus_one_to_one",
        align_corners=True,
    ),
    {"x": PAIR[:1]},
    lambda x: ref.bilinear(
        x, (np.linspace(-1, 0.5, 3) + 1) * 2.5, (np.linspace(-0.9, 0.9, 4) + 1) * 2
    ),
)
case("resample by pixels", lambda x: mb.resample(
    x=x, coordinates=np.float32([[[[1.5, 2.0], [4.0, 0.25]]]]), sampling_mode="bilinear",
    padding_mode="constant", padding_value=0.0, coordinates_mode="unnormalized",
    align_corners=False), {"x": PAIR[:1]}, lambda x: np.stack([
        (x[:, :, 2, 1] + x[:, :, 2, 2]) / 2, x[:, :, 0, 4] * 0.75 + x[:, :, 1, 4] * 0.25
    ], -1)[:, :, None])  # fmt: skip
case("affine", lambda x: mb.affine(
    x=x, transform_matrix=np.float32([[-1, 0, 0, 0, 1, 0]]), output_height=6, output_width=5,
    sampling_mode="bilinear", padding_mode="constant", padding_value=0.0,
    coordinates_mode="normalized_minus_one_to_one", align_corners=True), {"x": PAIR},
    lambda x: x[..., ::-1])  # fmt: skip
