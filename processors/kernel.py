"""How the kernels of the core are compiled: once, to the same bits wherever they come from."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

_Function = TypeVar("_Function", bound=Callable[..., Any])


def kernel(*reordered: str) -> Callable[[_Function], _Function]:
    """Compile a function to machine code, once per machine: later it is loaded from the cache.

    Whatever a kernel calls becomes part of it. Left as calls, the linker would choose among the copies of a function
    that several kernels bring along, and would choose differently for new code and for code from the cache; where sums
    may be reordered the copies differ in the last bit.

    Parameters
    ----------
    *reordered : str
        Freedoms of floating-point arithmetic, as LLVM names them: ``"reassoc"``, ``"contract"``, ``"nsz"``, ``"arcp"``.

    Returns
    -------
    decorator : callable
        Takes the function and returns its compiled form.

    Examples
    --------
    >>> import numpy as np
    >>> from processors.lines import line_rms  # decorated with @kernel()
    >>> line_rms(np.array([0.0, 1.0, 2.0, 1.0, 0.0]), 2)
    2.0
    """
    compiled = numba.njit(cache=True, forceinline=True, fastmath=set(reordered) or False)
    return cast("Callable[[_Function], _Function]", compiled)
