"""The published PP-OCRv4 models, pruned with rendered pictures alone: ``make bench-ocr``."""
