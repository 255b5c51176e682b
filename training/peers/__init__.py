"""Facial expression packages that could be installed instead of this project, measured on the same faces.

A recall says little by itself: it depends on the pictures as much as on the network. The same pictures therefore go
through other packages, each by its own code and preprocessing, in its own environment, since their dependencies
conflict with ours. Each package is a script with the same interface, `SCRIPT FACES.raw SIDE PROBABILITIES.json`, which
`training.peers.run` starts. Scripts get crops of faces, so that recognition is compared and not face detection.
"""
