"""A folder for any web host that paints on the visitor's device: page, graphs and ONNX Runtime."""
