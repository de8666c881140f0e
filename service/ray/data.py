"""Ray Data: explanations of a dataset of images, as rows of plain Arrow types.

The rows are those of a batch job (`service.batch.rows`): an image that cannot be explained has a
row with its error. They hold no types of Ray, so that Parquet files of them are read without Ray.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from service.ray.actors import ExplainActor
from service.ray.arguments import reserved_device
from service.ray.cluster import require_ray
from service.settings import Settings, load_settings

if TYPE_CHECKING:
    from ray.data import Dataset

_BLOCK_SIZE = 256  # images that an actor gets at once; the engine makes its own batches of them


def explain_images(
    dataset: Dataset,
    options: Mapping[str, Any] | None = None,
    *,
    settings: Settings | None = None,
    num_actors: int = 1,
    num_cpus: float = 1.0,
    num_gpus: float = 0.0,
) -> Dataset:
    """Explain the images of a dataset in actors with a model each.

    Parameters
    ----------
    dataset : Dataset
        With the column `bytes` (files of images, as `ray.data.read_binary_files` gives them) or
        `path` (which all machines can read); `index` and `label` are kept.
    options : mapping of str to Any, optional
        Options as `/explain` takes them: `target`, `composite`, `channels`, ...
    settings : Settings, optional
        The model; by default from `LRPSERVE_*` of this process.
    num_actors : int
        Number of actors.
    num_cpus : float
        CPUs of an actor, and threads that it computes with.
    num_gpus : float
        GPUs of an actor; 0 computes on the CPU, 0.5 shares a GPU between two.

    Returns
    -------
    Dataset
        A row for each image, in no order.

    Raises
    ------
    SettingsError
        A variable of the environment is invalid.
    RayMissing
        Ray is not installed.
    """
    require_ray()
    from ray.data import ActorPoolStrategy

    settings = reserved_device(settings or load_settings(), num_gpus)
    return dataset.map_batches(
        ExplainActor,
        fn_constructor_args=(
            settings,
            {"output": "relevance", **(options or {})},
            max(1, int(num_cpus)),
        ),
        batch_format="pyarrow",
        batch_size=_BLOCK_SIZE,
        zero_copy_batch=True,
        compute=ActorPoolStrategy(size=num_actors),
        num_cpus=num_cpus,
        num_gpus=num_gpus,
    )
