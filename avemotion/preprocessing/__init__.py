"""Preprocessing, from a clip to the model's input tensors.

It is implemented once and imported by training, export, gateway and client, so that training and serving cannot
diverge. The numbers of the tensor contract are stated once, too, in `avemotion.preprocessing.contract`.
"""
