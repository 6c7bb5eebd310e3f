"""Our own engine: groups found by probing, without tracing any operator.

The order of reading: ``leaves`` (which layers there are), ``stand_ins`` (what they return during a probe),
``probe`` (one forward: which channels changed), ``reach`` (who reaches whom), ``channels`` and ``refine``
(channel by channel), ``units`` (what goes together, what stays and why), ``groups``, ``engine``.
"""
