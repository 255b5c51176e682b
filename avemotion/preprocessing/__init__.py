"""Clip to tensors, in exactly one place: training, export, gateway and client all import it.

Train/serve skew is the classic fault of this field, so nothing else in the code base decodes, crops or
computes a spectrogram, and nothing else repeats a number of the tensor contract (`avemotion.preprocessing.contract`).
"""
