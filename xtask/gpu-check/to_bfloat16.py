"""Writes a model in Hugging Face's layout again, with its weights cut to bfloat16. Plain Python, for small models.

    python3 to_bfloat16.py FROM TO
"""

import json
import shutil
import struct
import sys
from pathlib import Path

source, target = map(Path, sys.argv[1:3])
shutil.rmtree(target, ignore_errors=True)
shutil.copytree(source, target)
data = (source / "model.safetensors").read_bytes()
(length,) = struct.unpack("<Q", data[:8])
header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
written, start = bytearray(), 0
for name, tensor in header.items():
    if name == "__metadata__":
        continue
    first, end = tensor["data_offsets"]
    assert tensor["dtype"] == "F32", f"{name} is {tensor['dtype']}"
    # The upper halves of little-endian float32.
    halves = bytearray((end - first) // 2)
    halves[0::2], halves[1::2] = body[first + 2 : end : 4], body[first + 3 : end : 4]
    written += halves
    tensor["dtype"], tensor["data_offsets"] = "BF16", [start, len(written)]
    start = len(written)
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
(target / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + written)
