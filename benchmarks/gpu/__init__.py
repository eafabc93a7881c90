"""What a GPU does with the project, in a few minutes: checks, measurements, results.

``python -m benchmarks.gpu --minutes 8 --out DIR`` is made for a machine that is rented by the minute and holds nothing but torch: see
``docs/gpu.md``.
"""
