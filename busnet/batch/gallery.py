"""A run's predictions as one HTML page over its overlays."""

from __future__ import annotations

import html
import os
import urllib.parse
from collections.abc import Iterable, Mapping
from typing import Any

from busnet.batch.table import Table
from busnet._io import atomic_write
from busnet.results import NOTICE
from busnet.version import __version__

__all__ = ["write_gallery"]

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 90rem;
       padding: 0 1rem; color: #222; background: #fff }
.notice { border-left: .3rem solid #999; padding-left: 1rem; color: #555 }
.choice { margin-right: 1.5rem }
.cards { display: grid; gap: 1rem; margin-top: 1rem;
         grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)) }
figure { margin: 0 } img { width: 100%; background: #000 }
figcaption { font-size: .85rem; overflow-wrap: anywhere }
.flag { color: #b00020; font-weight: bold }
"""


def write_gallery(path: str | os.PathLike[str], table: Table) -> None:
    """Write the page beside the folder of overlays that the documents name.

    Pictures are loaded as they are scrolled to. Boxes at the top choose the classes to
    show; files that failed stand at the end.
    """
    with atomic_write(path) as part:
        part.write_text(_page(table), encoding="utf-8")


def _page(table: Table) -> str:
    shown = [d for d in table.documents if "overlay" in d]
    failed = [d for d in table.documents if "error" in d]
    labels = [name for name in table.info.classes if any(_has(d, name) for d in shown)]
    choices = "".join(
        f"<label class='choice'><input type='checkbox' id='c{i}' checked> "
        f"{html.escape(name)} ({sum(_has(d, name) for d in shown)})</label>"
        for i, name in enumerate(labels)
    )
    # The cards of a class are hidden while its box is not checked.
    hiding = "".join(
        f"body:has(#c{i}:not(:checked)) .c{i} {{ display: none }}\n"
        for i in range(len(labels))
    )
    cards = "".join(_card(d, labels.index(d["label"])) for d in shown)
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>busnet predictions</title>
<style>{STYLE}{hiding}</style></head><body>
<h1>{len(shown)} predictions</h1>
<p class="notice">{html.escape(NOTICE)}</p>
<p>Model {html.escape(table.info.network.name)}, busnet {__version__}. Lesions are
outlined in orange.</p>
<form>{choices}</form>
<div class="cards">{cards}</div>
{_failures(failed)}</body></html>
"""


def _has(document: Mapping[str, Any], label: str) -> bool:
    return bool(document["label"] == label)


def _card(document: Mapping[str, Any], index: int) -> str:
    name = document["file"]
    if "frame" in document:
        name += f", frame {document['frame']}"
    shares = ", ".join(f"{k} {p:.2f}" for k, p in document["probabilities"].items())
    count = len(document["lesions"])
    facts = [shares, f"{count} lesion{'s' if count != 1 else ''}"]
    flags = [
        text
        for flag, text in (
            (document["abstains"], "abstains"),
            (not document["consistent"], "class and mask disagree"),
        )
        if flag
    ]
    told = "".join(f"<br><span class='flag'>{text}</span>" for text in flags)
    source = html.escape(urllib.parse.quote(document["overlay"]), quote=True)
    return (
        f"<figure class='c{index}'><img loading='lazy' alt='' src='{source}'>"
        f"<figcaption><b>{html.escape(document['label'])}</b><br>"
        f"{html.escape('; '.join(facts))}{told}<br>{html.escape(name)}</figcaption>"
        f"</figure>\n"
    )


def _failures(documents: Iterable[Mapping[str, Any]]) -> str:
    rows = "".join(f"<li>{html.escape(d['error'])}</li>" for d in documents)
    return f"<h2>Files that failed</h2><ul>{rows}</ul>" if rows else ""
