"""Training runs: what one needs to start or go on, its loop, and what it leaves behind.

prepare.py     settings, checks, images, kernels ─► session.py: steps, samples, checkpoints, signals ─► folder.py,
               checkpoint.py
resume.py      which run goes on, from which checkpoint, with which settings
"""
