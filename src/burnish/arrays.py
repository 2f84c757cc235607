"""The arrays that modules pass to each other; apart from them, so that training needs no table library."""

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]  # shape (texts, dimensions), unit length unless said otherwise
Indices = NDArray[np.int64]  # row numbers
