"""The first weights of a network whose checkpoints hold its head alone: what is frozen is written once, beside them.

checkpoints/frozen.safetensors   the whole network before step 1
checkpoints/frozen.json          its SHA-256, sealed, written last
"""

import os
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from netwright.errors import WeightsError
from netwright.files.atomic import sync_folder
from netwright.files.hashing import sha256_bytes
from netwright.files.sealed import read_sealed, write_sealed
from netwright.models.fitting import with_versions
from netwright.training.tensor_file import write_tensors

TENSORS, DIGEST = "frozen.safetensors", "frozen.json"


def keep_frozen(folder: Path, network: nn.Module) -> None:
    """Write a network's weights beside its checkpoints, whole or not at all."""
    part = folder / f".{TENSORS}.part"
    part.unlink(missing_ok=True)
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    digest = write_tensors(part, tensors)
    os.replace(part, folder / TENSORS)
    write_sealed(folder / DIGEST, {"sha256": digest})
    sync_folder(folder)


def restore_frozen(folder: Path, network: nn.Module) -> None:
    """Load the weights that were kept, in place; does nothing where there are none.

    Raises WeightsError when they are damaged or of another network."""
    if not (folder / DIGEST).exists():
        return
    path = folder / TENSORS
    try:
        content = path.read_bytes()
        if sha256_bytes(content) != read_sealed(folder / DIGEST)["sha256"]:
            raise WeightsError(
                f"{path} does not match its checksum: it is damaged; restore it from a copy, or train again"
            )
        network.load_state_dict(with_versions(network, load(content)))
    except (OSError, KeyError, RuntimeError, SafetensorError) as error:
        raise WeightsError(f"{path} can't be loaded ({error}); restore it from a copy, or train again") from None
