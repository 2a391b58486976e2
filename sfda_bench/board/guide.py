"""Texts of the pages: how to read a board, and what a suite's numbers are good for."""

HOW_TO_READ = """\
## How to read this

* A table holds one suite, task, network and protocol. **Numbers of different tables do not
  compare**: they differ in data, architecture or evaluation.
* **mIoU** is in percent, over all pixels of the set (not a mean over images). Void predictions
  count as errors. `mean ± std` is over seeds; `[low, high]` is the 95 % interval of the mean from
  10,000 bootstrap samples of the images.
* **Rank** `2–5`: one method is significantly better (the first number less one), and three others
  (the last less the first) cannot be told from this one. *Significant* is by paired bootstrap over
  the same images and the spread over seeds, this moderated by the whole table; Holm-corrected over
  all pairs of the table, 5 %. Ranges that overlap say nothing of a pair: the site marks the methods
  that cannot be told from one, *paired comparisons* of a board lists every pair, and the CSV has
  letters (`ties`): two methods have one in common just if they cannot be told apart.
* **Seeds** is how many runs a row is the mean of; rows of one seed have no `± std`.
* **Source** is the mIoU of the very source model the method started from, on the same images;
  **gain** is measured minus that; **gap** is the share of the way from source to oracle that was
  covered. A method with a gain below 0 makes the model worse.
* **Track**: `source-free` sees unlabelled target images only; `black-box` only predictions of the
  source model; `test-time` adapts while it predicts; `uda` also reads source data; `bound` rows
  (source-only, oracle) are not methods and have no rank.
* **Setting** of test-time methods, never two in one table: `online` meets the images once, in
  order; `episodic` returns to the source model before each image; `continual` goes through the
  conditions round after round without returning. Everything else is `offline`: adapted first,
  scored afterwards.
* **Fidelity**: `official` replays recorded iterations of the authors' own program in a test and
  reproduces its functions in micro-cases; `paper` follows the published text; `reconstructed`
  fills unpublished facts with our choices (listed on the method's card).
* **Tier**, a column only where a row was not run here: `re-run here`; `recomputed from counts`,
  sent by others with the counts of every image; `self-reported`, sent without: no interval, no
  rank, not judged. Tiers are never averaged.
* **Verdict** compares with the number the authors report: *reproduced*, *above*, *below*, *not
  comparable* (the reason names the field that differs), *not run*; *inside both readings* or
  *inside one reading* where nobody says which checkpoint, or which of two tests, a number is of. A
  number measured or reported under another or an unknown protocol is never 'reproduced'.
* **Cost** is the wall time of the method's own stages, a mean over seeds, on the hardware named
  above the table; the shared source model is not counted.
* `–` is missing. A method that lacks a seed has no mean: there is no mean over what happened to
  finish.
"""

SUITES = {
    'pocket': """\
The pocket suite renders its own small street scenes and runs on a CPU in minutes. **Good for**:
seeing that every part works, comparing code before and after a change, finding a method that
collapses. **Not good for**: any statement about a method's accuracy on real images. Its networks
are tiny and trained for a minute, its domain gap is drawn by hand, its validation sets are small;
the order of methods here does not predict their order on GTA5 or Cityscapes. A second network, a
SegFormer without batch norm, has a board of its own on one task: what gains there does not do so
through batch-norm statistics.
""",
    'camvid': """\
The camvid suite adapts a real Cityscapes-trained network to real, unlabelled CamVid frames and
scores it on the CamVid test split (11 classes, 480x360). **Good for**: comparing methods on real
images with hardware anyone has. **Not good for**: comparison with published tables, which use
other data and networks.
""",
    'ablate': """\
The ablate suite sets methods beside themselves with a setting changed, on the pocket world: without
a part, from recomputed batch-norm statistics instead of the source's, in another number format. Its
board has a table of paired differences. **Good for**: finding out what a loss or a gain comes from
there. **Not good for**: the worth of a part on real images.
""",
    'paper': """\
The paper suite uses the full data sets, networks and schedules of the literature; only its
numbers are compared with reported ones.
""",
}
