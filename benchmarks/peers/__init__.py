"""Alternatives for serving the same model, each written as its own documentation shows, in its own environment.

All answer `POST /predict` with the same JSON. `pipeline.py` reads a clip in the usual way: a temporary file, OpenCV,
FFmpeg, librosa.
"""
