"""BibTeX: every paper once, with its authors."""

import re

import pytest

from sfda_bench.board import papers
from sfda_bench.board.cards import card
from sfda_bench.plan import catalog

METHODS = [name for name in catalog.names('methods') if card(name).paper]


@pytest.mark.parametrize('method', METHODS)
def test_every_paper_of_a_card_has_an_entry_with_authors(method):
    """Of the right paper: the first author and the year are those of the card's line."""
    about, text = card(method), papers.entry(method)
    assert text in papers._papers()
    authors = re.search(r'author = \{(.+)\}', text)[1]
    line = about.paper.split(',')[0].removesuffix(' et al.').split(' and ')[0]
    assert line in authors.split(' and ')[0]
    assert re.search(r'(19|20)\d\d', about.paper)[0] == re.search(r'year = \{(\d+)\}', text)[1]
    if about.arxiv and 'eprint' in text:
        assert f'{{{about.arxiv}}}' in text


def test_keys_and_titles_are_unique_and_all_are_used():
    keys = [re.match(r'@\w+\{([^,]+),', text)[1] for text in papers._papers()]
    titles = [papers._plain(papers._field(text, 'title')) for text in papers._papers()]
    assert len(set(keys)) == len(keys) == len(set(titles)) and all(titles)
    assert {papers.entry(name) for name in METHODS} == set(papers._papers())


@pytest.mark.parametrize(
    'line, authors, title',
    [
        ('Foo et al., A Title, with a comma, CVPR 2024', 'Foo and others', 'A Title, with a comma'),
        ('Foo, Bar: What: a Title, 2023', 'Foo and Bar', 'What: a Title'),
        ('A Title alone', None, 'A Title alone'),
    ],
)
def test_an_entry_is_made_of_a_line_on_a_paper(line, authors, title):
    about = card('tent').model_copy(update=dict(paper=line, arxiv=''))
    text = papers._made('foo', about)
    assert papers._field(text, 'title') == title
    assert (papers._field(text, 'author') or None) == authors
    assert text.startswith('@misc{foo,\n') and text.count('{') == text.count('}')
