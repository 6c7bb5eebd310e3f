"""The one door to PaddlePaddle: flags that must be set before it is imported, and its compatibility shims.

Every module says ``from secateur_jobs.paddle_env import paddle``. Why each line is here:

* ``zlib`` first: Paddle before zlib crashes in ``inflateReset2`` when matplotlib follows (Paddle 2.6).
* ``FLAGS_enable_pir_api=0``: Paddle Lite and PaddleSlim read the old program format only.
* ``MKL_DEBUG_CPU_TYPE=5``: the bundled MKL takes a slow path on AMD (2x); the value changes results in the
  last bits, so it is pinned for repeatability.
* ``OMP_NUM_THREADS=1``: more threads gain nothing on small nets and change results in the last bits.
* ``_to_static_mode_guard_``: PaddleSlim 2.6.0 uses the name that Paddle 3 renamed.
"""

from __future__ import annotations

import os
import warnings
import zlib  # noqa: F401  (see above)

os.environ.setdefault("FLAGS_enable_pir_api", "0")
os.environ.setdefault("MKL_DEBUG_CPU_TYPE", "5")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("GLOG_minloglevel", "2")

warnings.filterwarnings("ignore", message="No ccache found")  # we compile nothing

import paddle  # noqa: E402
import paddle.base.dygraph.base as _dygraph_base  # noqa: E402

if not hasattr(_dygraph_base, "_to_static_mode_guard_"):
    _dygraph_base._to_static_mode_guard_ = _dygraph_base.to_static_mode_guard

__all__ = ["paddle"]
