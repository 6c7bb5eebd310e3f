"""Converts to Paddle Lite, and runs and times converted models; always a process of its own.

It needs Python 3.10, NumPy and ``paddlelite`` only, and knows nothing of the rest of Secateur: both
sides speak JSON and raw arrays over pipes (:mod:`secateur_lite.wire`). A ``.onnx`` model is run by the same
code under an interpreter that has ``onnxruntime``, so that both formats are measured alike.
"""
