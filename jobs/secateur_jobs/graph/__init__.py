"""An exported model as an ordinary network again: layers that train and can be cut, and steps between them.

``pir`` reads the files in a process of its own and leaves a :mod:`program`; ``layers`` and ``steps`` say what
each operator is; ``widths`` lets its constants follow the widths of what flows in; ``network`` runs it all.
"""
