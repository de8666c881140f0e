"""The command that compiles `open_inference.proto`; needs grpcio-tools.

The result is a descriptor, from which messages are made at run time: generated modules would only
work with the versions of protobuf around that of the compiler, and collide with those of clients.
"""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = Path(__file__).parent
PROTO, DESCRIPTOR = FOLDER / "open_inference.proto", FOLDER / "open_inference.binpb"


def compile_proto(target: Path = DESCRIPTOR) -> None:
    """Write the descriptor of the protocol to a file."""
    from grpc_tools import protoc

    status = protoc.main(
        ["protoc", f"--proto_path={FOLDER}", f"--descriptor_set_out={target}", PROTO.name]
    )
    if status != 0:
        sys.exit(status)


if __name__ == "__main__":
    compile_proto()
