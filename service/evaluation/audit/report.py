"""The report of an audit: one HTML page without scripts, which opens without a network."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

from service import __version__
from service.evaluation.audit.audit import THRESHOLD, Audit, AuditOptions, Cluster
from service.evaluation.audit.sheets import N_IMAGES
from service.evaluation.audit.words import (
    DOMAIN_TEXTS,
    describe_finding,
    name_finding,
    verdict,
)
from service.models.card import ModelCard

N_SHOWN = 20  # clusters with a picture, and all that are suspicious

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 62rem; margin: 0 auto; padding: 1rem; }
h1 { line-height: 1.2; } h2 { margin-top: 2.5rem; } h3 { margin-bottom: .3rem; }
h1, h3, p, .settings td { overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #8886; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
section { border-top: 1px solid #8886; margin-top: 1.5rem; }
figure { margin: .5rem 0; } figure img { max-width: 100%; height: auto; background: #fff; }
figcaption { font-size: .9rem; }
.verdict { font-size: 1.2rem; border-left: .4rem solid #2a7; padding: .5rem 1rem; }
.verdict.suspicious { border-color: #d24; }
.scroll { overflow-x: auto; }
"""

_SCORE = f"""
<p>The images of each class were explained, and their relevance maps clustered in several ways
(SpRAy, Lapuschkin et al. 2019). What a cluster has in common was then <em>tried</em>: put into
images of other classes, and taken away from its own. The score is how clearly the cluster has it
and other classes have not (0 to 1), times the share of images of other classes that are taken for
the class once they have it, less that share in a control. A cluster with more than {THRESHOLD:g}
is called suspicious: the network decides by something that works without the object. Whether it
should is for you to say; look at the pictures.</p>
<p>What is tried: whatever stands in the place of the relevance that the cluster has beyond other
images, and changes of the whole image (hue, tint, saturation, brightness, contrast, sharpness,
noise, JPEG). What is of another kind is not found, nor what all images of all classes have.</p>
"""


def render_report(
    audit: Audit, card: ModelCard, options: AuditOptions, data: str, sheets: Sequence[bytes]
) -> str:
    """Make the page.

    Parameters
    ----------
    audit : Audit
        The result.
    card : ModelCard
        The network's card.
    options : AuditOptions
        Settings.
    data : str
        What the images are.
    sheets : sequence of bytes
        A PNG for each of the clusters that are shown.
    """
    title = escape(f"Audit of {card.name}")
    state = " suspicious" if audit.suspicious else ""
    shown = list(zip(shown_clusters(audit), sheets, strict=True))
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">",
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>",
        f"<h1>{title}</h1>",
        f'<p class="verdict{state}">{escape(verdict(audit, card.labels))}</p>',
        f"<p>{len(audit.images):,} images: {escape(data)}.</p>",
        f"<h2>What was done</h2>{_SCORE}",
        "<h2>Clusters, the most suspicious first</h2>",
        _table([cluster for cluster, _ in shown], card),
        *(_section(n, cluster, sheet, card) for n, (cluster, sheet) in enumerate(shown, 1)),
        _settings(audit, card, options),
        "</main>\n</body>\n</html>\n",
    ]
    return "\n".join(parts)


def shown_clusters(audit: Audit) -> Sequence[Cluster]:
    """The clusters that the report has a picture of."""
    return audit.clusters[: max(N_SHOWN, len(audit.suspicious))]


def _table(clusters: Sequence[Cluster], card: ModelCard) -> str:
    heads = (
        '<th scope="col" class="number">rank</th><th scope="col">class</th>'
        '<th scope="col" class="number">score</th><th scope="col" class="number">images</th>'
        '<th scope="col">what it may be</th><th scope="col">suspicious</th>'
    )
    rows = "\n".join(
        f'<tr><td class="number"><a href="#cluster-{number}">{number}</a></td>'
        f"<td>{escape(card.labels[one.label])}</td>"
        f'<td class="number">{one.score:.2f}</td><td class="number">{len(one.members):,}</td>'
        f"<td>{escape(name_finding(one, one.findings[0]))}</td>"
        f"<td>{'yes' if one.is_suspicious else 'no'}</td></tr>"
        for number, one in enumerate(clusters, 1)
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="Clusters"><table>'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>"
    )


def _section(number: int, cluster: Cluster, sheet: bytes, card: ModelCard) -> str:
    label = card.labels[cluster.label]
    best = cluster.findings[0]
    what = name_finding(cluster, best)
    sentences = " ".join(describe_finding(cluster, best, label))
    data = base64.b64encode(sheet).decode()
    n_shown = min(N_IMAGES, len(cluster.members))
    alt = f"{n_shown} images of cluster {number}, {label}, and their relevance"
    return (
        f'<section aria-labelledby="cluster-{number}">\n'
        f'<h3 id="cluster-{number}">{number}. {escape(label)}: {escape(what)}, '
        f"score {cluster.score:.2f}</h3>\n<p>{escape(sentences)}</p>\n"
        f'<figure><img src="data:image/png;base64,{data}" alt="{escape(alt)}">\n'
        f"<figcaption>{len(cluster.members):,} images, clustered by "
        f"{escape(DOMAIN_TEXTS[cluster.domain])} (eigengap {cluster.gap:.3f}). First column: their "
        "median and the mean of their relevance, framed where it is beyond that of other images. "
        f"Then {n_shown} of them. Red speaks for {escape(label)}, blue against."
        "</figcaption></figure>\n</section>"
    )


def _settings(audit: Audit, card: ModelCard, options: AuditOptions) -> str:
    method = options.method
    rows = {
        "model": f"{card.name}, sha256 {card.sha256}",
        "method": f"{method.attributor}, {method.composite}",
        "images of other classes": f"{options.n_others:,} at most for each intervention",
        "files that could not be read": f"{len(audit.images.failed):,}",
        "seed": str(options.seed),
        "made with": f"lrpserve {__version__}",
    }
    listed = "\n".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
        for name, value in rows.items()
    )
    return f'<h2>Settings</h2>\n<table class="settings">\n<tbody>\n{listed}\n</tbody></table>'
