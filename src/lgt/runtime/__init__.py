"""Transfer without torch: ONNX graphs made from our weight files, run by OpenVINO or ONNX Runtime.

Needs numpy, pillow, safetensors, onnx, and openvino or onnxruntime.
"""

from lgt.runtime.engine import Runtime

__all__ = ["Runtime"]
