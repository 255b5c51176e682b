"""Predictions: the predictors (Triton, ONNX Runtime in-process, mock) and what is made of their outputs."""
