"""Prints attributions of a project of ViRelAy, as its own model reads them; run with its Python.

Arguments: the project file, and the indices of attributions.
"""

import json
import sys

import virelay
from virelay.model import Project

path, *indices = sys.argv[1:]
project = Project(path)
attributions = [project.get_attribution(int(index)) for index in indices]
print(  # noqa: T201
    json.dumps(
        {
            "version": virelay.__version__,
            "attributions": [
                {
                    "data": attribution.data.tolist(),
                    "prediction": attribution.prediction.tolist(),
                    "labels": [label.name for label in attribution.labels],
                    "sample": project.get_sample(attribution.index).data.tolist(),
                }
                for attribution in attributions
            ],
        }
    )
)
