"""The one door to PaddlePaddle: flags that must be set before it is imported, and its compatibility shims.

Every module says ``from secateur_jobs.paddle_env import paddle``. Why each line is here:

* ``zlib`` first: Paddle before zlib crashes in ``inflateReset2`` when matplotlib follows (Paddle 2.6).
* ``paddle_flags`` before Paddle, which reads them when it is imported.
* ``_to_static_mode_guard_``: PaddleSlim 2.6.0 uses the name that Paddle 3 renamed.
"""

from __future__ import annotations

import warnings
import zlib  # noqa: F401  (see above)

from secateur_jobs import paddle_flags  # noqa: F401  (see above)

warnings.filterwarnings("ignore", message="No ccache found")  # we compile nothing

import paddle  # noqa: E402
import paddle.base.dygraph.base as _dygraph_base  # noqa: E402
from paddle import nn  # noqa: E402

if not hasattr(_dygraph_base, "_to_static_mode_guard_"):
    _dygraph_base._to_static_mode_guard_ = _dygraph_base.to_static_mode_guard

__all__ = ["nn", "paddle"]
