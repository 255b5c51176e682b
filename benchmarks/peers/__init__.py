"""What people would write, and what they would pick, to serve the same model: the measure of this project's own server.

Each peer is written as its own documentation shows it, in its own environment, and answers `POST /predict` with the
same JSON for the same clip. `pipeline.py` is how clips are usually read: a temporary file, OpenCV, FFmpeg, librosa.
"""
