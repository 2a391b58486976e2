"""The check's report: for a terminal, as Markdown for a pull request, as JUnit XML."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from tabulate import tabulate

from sfda_bench.atomic import naming, write_text
from sfda_bench.board.text import number, table
from sfda_bench.regression.check import ALARMS, Report, Row

COLUMNS = ('entry', 'baseline', 'now', 'change [95 %]', 'p', 'throughput', 'memory', 'verdict')


def cells(row: Row) -> list[str]:
    """One row of the table."""
    change = row.change
    told = (
        ''
        if change is None
        else f'{change.difference:+.2f} [{change.low:+.2f}, {change.high:+.2f}]'
    )
    base, now = row.memory
    return [
        row.slug,
        number(row.base, 2),
        number(row.now, 2),
        told,
        '' if change is None else f'{change.p:.2g}',
        f'{row.speed:.2f}x' if row.speed else '',
        f'{now / base:.2f}x' if base and now else '',
        row.state,
    ]


def details(row: Row) -> list[str]:
    """What was found in an entry, and the first thing in which it differs from the baseline."""
    lines = [f'{row.slug}: {"; ".join(row.reasons)}']
    if row.differs:
        more = f' (and {len(row.differs) - 1} more)' if len(row.differs) > 1 else ''
        lines.append(f'first difference: {row.differs[0]}{more}')
    elif row.change is not None:
        lines.append('first difference: none in config, code, data, libraries or hardware')
    return lines


def conclusion(report: Report) -> str:
    """The verdict in one line."""
    compared = sum(row.change is not None for row in report.rows)
    if not report.alarms:
        return f'{report.suite}: {compared} entries compared, no alarm'
    named = ', '.join(row.slug for row in report.alarms[:3])
    more = '' if len(report.alarms) <= 3 else f' and {len(report.alarms) - 3} more'
    return f'{report.suite}: {compared} entries compared, ALARM: {named}{more}'


def _rows(report: Report) -> list[Row]:
    return [*report.rows, *([report.mean] if report.mean else [])]


def text(report: Report) -> str:
    """For a terminal."""
    lines = [tabulate([cells(row) for row in _rows(report)], COLUMNS, disable_numparse=True)]
    for row in _rows(report):
        if row.reasons:
            first, *rest = details(row)
            lines += ['', f'{row.state:<7} {first}', *(f'        {line}' for line in rest)]
    if any(row.state == 'alarm' for row in _rows(report)):
        lines += ['', 'If a change is meant, accept it: the same command with --update.']
    return '\n'.join([*lines, '', conclusion(report)])


def markdown(report: Report) -> str:
    """For a pull request."""
    lines = [f'### {conclusion(report)}', '']
    for row in _rows(report):
        if row.reasons:
            first, *rest = details(row)
            lines.append(f'- **{row.state}** {first}' + ''.join(f'<br>{line}' for line in rest))
    body = table(list(COLUMNS), [cells(row) for row in _rows(report)])
    return '\n'.join(
        [*lines, '', '<details><summary>all entries</summary>', '', body, '', '</details>', '']
    )


def append_summary(report: Report, path: Path) -> None:
    """Add the Markdown to a file (a CI job has one summary for all its steps)."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with naming(path), path.open('a', encoding='utf-8') as stream:
        stream.write(markdown(report) + '\n')


def junit(report: Report) -> str:
    """One test case an entry."""
    rows = _rows(report)
    failed = sum(row.state in ALARMS for row in rows)
    suite = ElementTree.Element(
        'testsuite', name=f'regression.{report.suite}', tests=str(len(rows)), failures=str(failed)
    )
    for row in rows:
        case = ElementTree.SubElement(
            suite, 'testcase', classname=f'regression.{report.suite}', name=row.slug
        )
        said = '\n'.join(details(row)) if row.reasons else ' | '.join(cells(row))
        if row.state in ALARMS:
            failure = ElementTree.SubElement(case, 'failure', message='; '.join(row.reasons))
            failure.text = said
        else:
            ElementTree.SubElement(case, 'system-out').text = said
    root = ElementTree.Element('testsuites')
    root.append(suite)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding='unicode', xml_declaration=True) + '\n'


def write_junit(report: Report, path: Path) -> None:
    """Write the JUnit file."""
    write_text(Path(path), junit(report))
