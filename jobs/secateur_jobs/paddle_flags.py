"""What must be set before Paddle is imported, set without importing it.

* ``FLAGS_enable_pir_api=0``: Paddle Lite and PaddleSlim read the old program format only.
* ``MKL_DEBUG_CPU_TYPE=5``: the bundled MKL takes a slow path on AMD (2x); the value changes results in the
  last bits, so it is pinned for repeatability.
* ``OMP_NUM_THREADS=1``: more threads gain nothing on small nets and change results in the last bits.

What is set already stays.
"""

from __future__ import annotations

import os

os.environ.setdefault("FLAGS_enable_pir_api", "0")
os.environ.setdefault("MKL_DEBUG_CPU_TYPE", "5")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("GLOG_minloglevel", "2")
