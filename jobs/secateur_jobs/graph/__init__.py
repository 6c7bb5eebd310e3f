"""An exported model as an ordinary network again: layers that train and can be cut, and steps between them.

``pir`` or ``onnx_reader`` reads the files in a process of its own and leaves a :mod:`program`; ``layers``,
``steps`` and ``elementary`` say what each operator is; ``widths`` lets its constants follow the widths of
what flows in; ``network`` runs it all.
"""
