"""ONNX models: reading, checking, and one converter per ONNX operator."""
