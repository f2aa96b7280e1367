"""TensorFlow Lite models."""

from __future__ import annotations

from ..fetch import Item

_PITCH = "basic-pitch==0.4.0"
_FACE = "npm:@mediapipe/face_detection@0.4.1657300184"
_SELFIE = "npm:@mediapipe/selfie_segmentation@0.1.1675465747"

ITEMS: tuple[Item, ...] = (
    Item(
        _PITCH,
        "basic_pitch/saved_models/icassp_2022/nmp.tflite",
        "3db297d54af8e01c6e5618245c956b1d71b6a2b978cb2dedb527173186552676",
    ),
    Item(
        _FACE,
        "face_detection_full_range.tflite",
        "99bf9494d84f50acc6617d89873f71bf6635a841ea699c17cb3377f9507cfec3",
    ),
    Item(
        _FACE,
        "face_detection_full_range_sparse.tflite",
        "671dd2f9ed11a78436fc21cc42357a803dfc6f73e9fb86541be942d5716c2dce",
    ),
    Item(
        _FACE,
        "face_detection_short_range.tflite",
        "3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633",
    ),
    Item(
        _SELFIE,
        "selfie_segmentation.tflite",
        "8d13b7fae74af625c641226813616a2117bd6bca19eb3b75574621fc08557f27",
    ),
    Item(
        _SELFIE,
        "selfie_segmentation_landscape.tflite",
        "4aafe6223bb8dac6fac8ca8ed56852870a33051ef3f6238822d282a109962894",
    ),
)
