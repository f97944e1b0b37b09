"""Tests; a package so that they can share their doubles."""

from runtime.settings import keep_kernels_apart

keep_kernels_apart()
