"""The reproduction page in Markdown: every reported number, and its verdict or what lacks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from sfda_bench.board.basis import DECIDING
from sfda_bench.board.cards import title
from sfda_bench.board.markdown import NOTE
from sfda_bench.board.reported import UNKNOWN
from sfda_bench.board.reproduction import OPEN, Answer, Question
from sfda_bench.board.text import number, table

HEADER = (
    'reported row', 'method', 'paper', 'network', 'test: inference; scoring; checkpoint; split',
    'known from', 'reported', 'measured', 'verdict, or what is missing',
)  # fmt: skip
ABOUT = """\
Every number that a paper or repository reports for the tasks of this benchmark, with how it was
measured and what that is *known from*, by its weakest field: *stated* by its authors, read from
their *released code*, from the *code line* theirs is built on, or the *convention* of its table;
*likely* where something speaks against it. A number is judged only where every field that decides
it is known. `a or b`: the evidence leaves two possibilities, each is measured, and the verdict says
which fit, as it does where nobody says which *checkpoint* was reported; neither is ever
'reproduced'. A number that is the *best on the validation labels* is compared with the best of our
kept checkpoints, a bound. `python tools/run_suite.py reproduce ROW` measures a row, `reproduce ROW
--list` shows its test field by field. Numbers of different tests **do not rank against each
other**."""
CHECKPOINTS = {
    'last': 'last',
    'online': 'online',
    'best_val_labels': 'best on the validation labels',
    UNKNOWN: 'checkpoint unknown',
}
#: What a number may lack, the hardest to mend first; each number counts once.
LACKS = (
    (r'^no method here|^method .* not built', 'its method is not built here'),
    (r'not built here|not declared', 'its network or test is not built here'),
    (r' unknown$', 'nothing tells how it was tested'),
    (r'contradicts', 'the printed row contradicts itself'),
    (r'^split', 'of another split than the task here scores'),
    (r'no published checkpoint', 'of a source model that is not published'),
    (r'^source model|start from', 'of a published source model whose SHA-256 is not known here'),
)


def overview(answers: Sequence[Answer]) -> str:
    """How many numbers have which answer, and every one that was measured here."""
    judged = [a for a in answers if a.row is not None]
    able = [a for a in answers if not a.question.missing]
    words = Counter(a.verdict.word for a in judged)
    found = f' ({", ".join(f"{words[word]} {word}" for word in sorted(words))})' if words else ''
    lines = [
        '## Reported numbers',
        '',
        f'{len(answers)} reported numbers. {len(able)} can be judged here, {len(judged)} of them '
        f'measured{found}; {len(answers) - len(able)} lack something. All of them, with what each '
        'needs: [reproduction](boards/reproduction.md).',
    ]
    if judged:
        lines += ['', _table([cells(answer) for answer in judged])]
    return '\n'.join(lines)


def page(answers: Sequence[Answer]) -> str:
    """All answers, a table a task; judged and judgeable numbers first."""
    blocks = [NOTE, f'# Reported numbers, one by one\n\n{ABOUT}', lacks(answers)]
    ordered = sorted(answers, key=lambda a: (_task(a), _place(a)))
    for task, found in groupby(ordered, key=_task):
        blocks.append(f'## {task}\n\n' + _table([cells(answer) for answer in found]))
    return '\n\n'.join(blocks) + '\n'


def lacks(answers: Sequence[Answer]) -> str:
    """How many numbers can be judged, and what the others lack."""
    counts = Counter(lack(answer.question) for answer in answers)
    rows = [[text, str(counts[text])] for text in ('can be judged', *(text for _, text in LACKS))]
    return table(['numbers', 'count'], [row for row in rows if row[1] != '0'])


def lack(question: Question) -> str:
    """What keeps a number from a verdict, in general words; 'can be judged' if nothing does."""
    for pattern, text in LACKS:
        if any(re.search(pattern, item) for item in question.missing):
            return text
    return 'something else' if question.missing else 'can be judged'


def _table(rows: Sequence[Sequence[str]]) -> str:
    """A table of answers; of its last three columns the two of numbers are right-aligned."""
    lines = table(HEADER, rows, 6).split('\n')
    lines[1] = lines[1].removesuffix('---: |') + '--- |'
    return '\n'.join(lines)


def _task(answer: Answer) -> str:
    return title('tasks', answer.question.told.task_id or '')


def _place(answer: Answer) -> tuple[bool, bool, str, str]:
    question = answer.question
    return answer.row is None, bool(question.missing), question.file.title.lower(), question.id


def cells(answer: Answer) -> list[str]:
    """The cells of an answer, in the order of :data:`HEADER`."""
    question, verdict = answer.question, answer.verdict
    told = question.told
    origin = question.file.origins[told.origin]
    paper = origin.paper.replace('|', '/')
    if origin.arxiv:
        paper = f'[{paper}](https://arxiv.org/abs/{origin.arxiv})'
    measured = None
    if verdict.difference is not None and told.value is not None:
        measured = told.value + verdict.difference
    return [
        f'`{question.id}`',
        ', '.join(filter(None, (told.label, told.variant))),
        paper,
        network(answer),
        protocol(answer),
        basis(answer),
        number(told.value, 1 if told.value == round(told.value or 0, 1) else 2),
        number(measured),
        state(answer),
    ]


def network(answer: Answer) -> str:
    """Title of the reported network, or its words."""
    told = answer.question.told
    return title('networks', told.network) if told.network else told.network_text or UNKNOWN


def protocol(answer: Answer) -> str:
    """Inference, scoring, choice of checkpoint and split of a reported row."""
    question = answer.question
    inference, scoring = (
        ' or '.join(dict.fromkeys(getattr(told, name) for told in question.meant))
        for name in ('inference', 'scoring')
    )
    return '; '.join(
        [
            inference.replace(UNKNOWN, 'inference unknown'),
            scoring.replace(UNKNOWN, 'scoring unknown'),
            CHECKPOINTS[question.told.selection],
            question.told.split.replace(UNKNOWN, 'split unknown'),
        ]
    )


def basis(answer: Answer) -> str:
    """Weakest basis of the fields that are known, and whether it is sure."""
    question = answer.question
    found = question.file.measured.get(question.told.measured or '')
    unknown = [name for name, item in found.fields() if item.basis == UNKNOWN] if found else []
    if found is None or len(unknown) == len(DECIDING):
        return UNKNOWN
    text = found.weakest_but(*unknown).replace('_', ' ')
    return text if found.sure else f'{text}, likely'


def basis_of(question: Question) -> str:
    """Weakest basis of all seven fields, ``unknown`` if one is."""
    found = question.file.measured.get(question.told.measured or '')
    if found is None:
        return UNKNOWN
    weakest = found.weakest.replace('_', ' ')
    return weakest if found.sure or weakest == UNKNOWN else f'{weakest}, likely'


def basis_by_field(question: Question) -> dict[str, str]:
    """What each deciding field is known from."""
    found = question.file.measured.get(question.told.measured or '')
    return {name: item.basis for name, item in found.fields()} if found else {}


def state(answer: Answer) -> str:
    """The verdict with its reason, what is missing, or the command that fills the row."""
    verdict, question = answer.verdict, answer.question
    if question.missing:
        return '; '.join(question.missing)
    if verdict.word == OPEN:
        return f'not run: `{question.command}`'
    return f'**{verdict}**: {verdict.reason}' if verdict.reason else f'**{verdict}**'
