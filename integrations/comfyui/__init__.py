"""ComfyUI finds the nodes of this folder through these two names."""

try:
    from .nodes import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS
except ImportError as error:
    if error.name != "lgt":
        raise
    message = (
        "LGT nodes: the package lgt is not installed for ComfyUI's Python; install it with "
        "`pip install -r requirements.txt` in this folder"
    )
    raise ImportError(message, name="lgt") from error

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
