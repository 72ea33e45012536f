"""The networks: one table of rows, and one builder that all graphs share."""

from busnet.networks.build import COARSE_MASK, build
from busnet.networks.counter import Counter
from busnet.networks.graph import LESION_EPSILON, Graph
from busnet.networks.table import (
    HEADS,
    IMAGENET_MEAN,
    IMAGENET_STD,
    NETWORKS,
    POOLINGS,
    STAGES,
    VARIANTS,
    Head,
    Network,
    Variant,
    get_network,
)

__all__ = [
    "COARSE_MASK",
    "HEADS",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "LESION_EPSILON",
    "NETWORKS",
    "POOLINGS",
    "STAGES",
    "VARIANTS",
    "Counter",
    "Graph",
    "Head",
    "Network",
    "Variant",
    "build",
    "get_network",
]
