"""What an ensemble is, from what its members' files say."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from busnet.errors import ModelError
from busnet.model_info import ModelInfo
from busnet.networks import Head

__all__ = ["EnsembleInfo", "PredictorInfo"]


@dataclasses.dataclass(frozen=True)
class EnsembleInfo:
    """What an ensemble is: several models whose probabilities are averaged.

    It has those attributes of :class:`busnet.model_info.ModelInfo` that an ensemble
    can have. Its thresholds are means of the members', which nobody chose on
    validation images of the ensemble; it has no operating points, since the
    sensitivities that those promise are the members' own.

    Attributes
    ----------
    members
        What each model is, by name; classes in any order.

    Raises
    ------
    ModelError
        If there are no members, or they differ in classes or heads.
    """

    members: Mapping[str, ModelInfo]

    def __post_init__(self) -> None:
        """Refuse what is no ensemble."""
        if not self.members:
            raise ModelError("an ensemble needs at least one model")
        self._check_same("classes", lambda info: info.classes, sorted)
        self._check_same("heads", lambda info: info.heads, sorted)

    def _check_same(
        self,
        what: str,
        names: Callable[[ModelInfo], Iterable[str]],
        normalise: Callable[[Iterable[str]], list[str]],
    ) -> None:
        (first, one), *others = self.members.items()
        for name, other in others:
            if normalise(names(one)) != normalise(names(other)):
                raise ModelError(
                    f"members of an ensemble must have the same {what}: {first} has "
                    f"{', '.join(names(one))}, {name} has {', '.join(names(other))}"
                )

    @property
    def _first(self) -> ModelInfo:
        return next(iter(self.members.values()))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the first member."""
        return self._first.classes

    @property
    def heads(self) -> tuple[Head, ...]:
        """What is computed: ``"class"``, ``"mask"``, or both."""
        return self._first.heads

    @property
    def network_name(self) -> str:
        """Names of the networks, joined by ``" + "``."""
        return " + ".join(info.network_name for info in self.members.values())

    @property
    def mask_threshold(self) -> float:
        """Probability from which a pixel belongs to a lesion: the members' mean."""
        return self._mean(lambda info: info.mask_threshold)

    @property
    def lesion_peak(self) -> float:
        """Probability that a lesion reaches somewhere: the members' mean."""
        return self._mean(lambda info: info.lesion_peak)

    @property
    def abstain_below(self) -> float:
        """Probability of a class below which it abstains: the members' mean."""
        return self._mean(lambda info: info.abstain_below)

    @property
    def operating_points(self) -> Mapping[str, float]:
        """None: the members' are not those of the ensemble."""
        return {}

    @property
    def class_shares(self) -> Mapping[str, float]:
        """Share of each class that the probabilities assume: the members' mean.

        A member that assumes others is re-weighed as by a prior.
        """
        shares = [info.class_shares for info in self.members.values()]
        return {
            name: math.fsum(share[name] for share in shares) / len(shares)
            for name in self.classes
        }

    @property
    def provenance(self) -> Mapping[str, object]:
        """Where each member came from: by name, under ``"members"``."""
        return {
            "members": {
                name: dict(info.provenance) for name, info in self.members.items()
            }
        }

    def _mean(self, number: Callable[[ModelInfo], float]) -> float:
        numbers = [number(info) for info in self.members.values()]
        return math.fsum(numbers) / len(numbers)


#: What a model or an ensemble is.
PredictorInfo: TypeAlias = ModelInfo | EnsembleInfo
