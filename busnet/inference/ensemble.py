"""Ensembles: several models whose probabilities are averaged."""

from __future__ import annotations

import filecmp
import itertools
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn, Protocol, TypeAlias

from busnet.engine.session import Session
from busnet.errors import MissingWeightsError, ModelError
from busnet.inference.ensemble_info import EnsembleInfo
from busnet.inference.predictor import Predictor

__all__ = ["Ensemble", "ModelLike", "ModelSequence"]


class ModelSequence(Protocol):
    """Names and paths of several models: a list or a tuple.

    A str is a sequence of str as well; that one asks of it only whether it contains a
    str, and here of any object, tells the two apart.
    """

    def __contains__(self, value: object, /) -> bool: ...
    def __getitem__(self, index: int, /) -> str | os.PathLike[str]: ...
    def __len__(self) -> int: ...
    def __reversed__(self) -> Iterator[str | os.PathLike[str]]: ...


#: A model or an ensemble, or what :func:`busnet.load` makes one of.
ModelLike: TypeAlias = "Predictor | str | os.PathLike[str] | ModelSequence"


class Ensemble(Predictor):
    """Several models that predict together.

    The probabilities of a class are the mean of the members' calibrated ones, those of
    a pixel the mean of the members' in the image's own geometry. Members may differ in
    network, image size and pooling. Thresholds are means of the members', and there are
    no operating points; see :class:`busnet.inference.EnsembleInfo`.

    Parameters
    ----------
    members
        The models; :func:`busnet.load` makes an ensemble of a list of names.

    Raises
    ------
    ModelError
        If there are none, two are of the same file, one is an ensemble itself, or they
        differ in classes, heads or precision.
    """

    def __init__(self, members: Sequence[Predictor]) -> None:
        self._members = tuple(members)
        for member in self._members:
            if not isinstance(member, Predictor) or len(member.sessions) != 1:
                raise ModelError(
                    f"members of an ensemble are loaded models, not "
                    f"{type(member).__name__}"
                )
        self._sessions = tuple(member.sessions[0] for member in self._members)
        _check_precisions(self._members)
        _check_files([session.path for session in self._sessions])
        infos = [session.info for session in self._sessions]
        self._info = EnsembleInfo(dict(zip(self._names(), infos, strict=True)))

    def _names(self) -> list[str]:
        """Return the members' names; where two are the same, their paths."""
        names = [member.name for member in self._members]
        count = Counter(names)
        return [
            name if count[name] == 1 else os.fspath(session.path)
            for name, session in zip(names, self._sessions, strict=True)
        ]

    @property
    def members(self) -> tuple[Predictor, ...]:
        """The models."""
        return self._members

    @property
    def sessions(self) -> tuple[Session, ...]:
        """The weights in the engine, of each member."""
        return self._sessions

    @property
    def info(self) -> EnsembleInfo:
        """What the members' weights files say together."""
        return self._info

    @property
    def name(self) -> str:
        """The members' names, joined by ``" + "``."""
        return " + ".join(self._info.members)

    def __repr__(self) -> str:
        """Return members and classes."""
        return f"Ensemble({self.name}, classes={list(self._info.classes)})"

    def __reduce__(self) -> tuple[object, tuple[tuple[Predictor, ...]]]:
        """Pickle the members, each what it was loaded from."""
        return Ensemble, (self._members,)

    def run(self, *arguments: object, **options: object) -> NoReturn:
        """Raise ModelError: logits of different networks have no mean."""
        self._refuse("raw outputs")

    def features(self, *arguments: object, **options: object) -> NoReturn:
        """Raise ModelError: activations of different networks have no mean."""
        self._refuse("features")

    def activation_map(self, *arguments: object, **options: object) -> NoReturn:
        """Raise ModelError: the mean of probabilities is no sum over places."""
        self._refuse("activation map")

    def to_torch(self) -> NoReturn:
        """Raise ModelError: an ensemble is several networks."""
        self._refuse("one PyTorch module")

    def _refuse(self, what: str) -> NoReturn:
        raise ModelError(
            f"an ensemble has no {what}; its members have "
            f"({', '.join(self._info.members)})"
        )


def _check_precisions(members: Sequence[Predictor]) -> None:
    precisions = sorted({member.precision for member in members})
    if len(precisions) > 1:
        raise ModelError(
            f"members of an ensemble must have the same precision, not "
            f"{' and '.join(precisions)}"
        )


def _check_files(paths: Sequence[Path]) -> None:
    for first, second in itertools.combinations(paths, 2):
        try:
            same = filecmp.cmp(first, second, shallow=False)
        except OSError as error:
            raise MissingWeightsError(f"cannot compare members: {error}") from None
        if same:
            names = f"{first} and {second} are" if first != second else f"{first} is"
            raise ModelError(f"{names} the same model twice")
