"""Pictures with exact captions: the training set of the default model, drawn by code and composed from free artwork."""

import os

# The arrays here are small: threads of the linear algebra library would only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
