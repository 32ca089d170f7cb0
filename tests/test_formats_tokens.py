"""Token strings, the tokens a tokenizer learns, and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import puresid
from puresid.formats import TEMPLATES, TokenTemplate, new_tokens, token_strings
from puresid.formats.tokens import read_tokens

SID = [[340, 6566, 5603]]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("lc-rec", "<a_340><b_6566><c_5603>"),
        ("lmindexer", "<id_0_340><id_1_6566><id_2_5603>"),
        ("openonerec", "<|sid_begin|><s_a_340><s_b_6566><s_c_5603><|sid_end|>"),
        ("rectokens", "<|item_start|><item_L0_C340><item_L1_C6566><item_L2_C5603><|item_end|>"),
        ("semantic-id", "340-6566-5603"),
        ("<a_{token}>", "<a_340><a_6566><a_5603>"),
        ("[{level}:{token:05d}]", "[0:00340][1:06566][2:05603]"),
        ("{{{token}}}", "{340}{6566}{5603}"),
        (TokenTemplate("{token}", start="(", end=")", separator=", "), "(340, 6566, 5603)"),
    ],
)
def test_templates(template, expected):
    assert token_strings(SID, template) == [expected]
    assert puresid.token_strings(np.array(SID, np.uint16), template) == [expected]
    np.testing.assert_array_equal(read_tokens([expected], template, "lines"), SID)


def test_by_default_those_of_lc_rec():
    assert token_strings(SID) == token_strings(SID, "lc-rec")
    assert token_strings(np.empty((0, 3), int)) == []


@pytest.mark.parametrize("template", TEMPLATES)
@given(
    rows=st.integers(1, 26).flatmap(
        lambda width: st.lists(
            st.lists(st.integers(0, 2**32 - 1), min_size=width, max_size=width), min_size=1
        )
    )
)
def test_any_sids_come_back(template, rows):
    np.testing.assert_array_equal(read_tokens(token_strings(rows, template), template, "x"), rows)


def test_new_tokens_are_in_the_order_of_the_vocabulary():
    tokens = new_tokens((2, 3, 1), "rectokens")
    assert tokens == [
        "<item_L0_C0>",
        "<item_L0_C1>",
        "<item_L1_C0>",
        "<item_L1_C1>",
        "<item_L1_C2>",
        "<item_L2_C0>",
        "<|item_start|>",
        "<|item_end|>",
    ]
    # rectokens: vocabulary id = size + level * K + token, where all levels have K
    uniform = puresid.new_tokens([4, 4], "rectokens")
    assert uniform.index("<item_L1_C3>") == 1 * 4 + 3


@pytest.mark.parametrize("template", TEMPLATES)
def test_new_tokens_are_all_that_sids_need(template):
    sizes = (3, 2, 4)
    sids = np.stack(np.meshgrid(*map(range, sizes), indexing="ij"), axis=-1).reshape(-1, 3)
    tokens = new_tokens(sizes, template)
    assert len(set(tokens)) == len(tokens)
    form = TEMPLATES[template]
    rest = "\n".join(token_strings(sids, template))
    for token in sorted(tokens, key=len, reverse=True):
        rest = rest.replace(token, "")
    assert rest.replace(form.separator, "").strip() == ""


def test_tokens_that_levels_share_come_once():
    assert new_tokens((3, 2), "semantic-id") == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("lcrec", "template is 'lcrec'; it must be one of 'lc-rec', "),
        ("<{level}>", r"must have the field \{token\}"),
        ("<{token}{item}>", r"may have \{level\} and \{letter\}; it has no other"),
        ("{}{token}", r"must have the field \{token\}, and may have \{level\}"),
        ("{0}{token}", r"must have the field \{token\}, and may have \{level\}"),
        ("{token:{nope}}", "has the format '{nope}'; one for integers is needed"),
        ("{token:c}", "has the format 'c'; one for integers is needed"),
        ("{token:.1e}", r"has the format '\.1e'; one for integers is needed"),
        ("{token:zz}", "template '{token:zz}' is malformed"),
        ("{letter:d}{token}", "template '{letter:d}{token}' is malformed"),
        ("<{token>", "template '<{token>' is malformed"),
    ],
)
def test_templates_that_mean_nothing(template, message):
    for call in (lambda: token_strings(SID, template), lambda: new_tokens((2,), template)):
        with pytest.raises(ValueError, match=message):
            call()


def test_letters_end_at_z():
    sids = np.zeros((1, 27), int)
    with pytest.raises(ValueError, match="names levels by the letters a to z; there are more than"):
        token_strings(sids)
    assert token_strings(sids, "lmindexer")[0].endswith("<id_26_0>")


@pytest.mark.parametrize(
    ("sizes", "error", "message"),
    [
        ((), ValueError, r"sizes is \(\); at least one level is needed"),
        ((3, 0), ValueError, r"sizes\[1\] is 0; at least 1 is needed"),
        ((3.7, 2), TypeError, r"sizes\[0\] is 3\.7; an integer is needed"),
        ("33", TypeError, "sizes is '33'; a sequence of integers is needed"),
    ],
)
def test_sizes_of_nothing(sizes, error, message):
    with pytest.raises(error, match=message):
        new_tokens(sizes)


@pytest.mark.parametrize("template", [5, None, ["lc-rec"]])
def test_templates_that_are_no_text(template):
    for call in (lambda: token_strings(SID, template), lambda: new_tokens((2,), template)):
        with pytest.raises(TypeError, match=r"template is .*; a name, one token's text or a Token"):
            call()
    with pytest.raises(TypeError, match="separator of a template is 5; text is needed"):
        TokenTemplate("{token}", separator=5)


def test_what_are_no_tokens():
    with pytest.raises(ValueError, match=r"sids: shape .* SIDs are a matrix of integers"):
        token_strings([0.5, 1.5])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "x has no lines"),
        (["<a_1><b_2>", "<a_1>"], "x: line 2 has 1 tokens; the first has 2"),
        ([""], "x: line 1 has 0 tokens"),
        (["<b_1><a_2>"], r"x: line 1 is '<b_1><a_2>'; expected '<a_1><b_2>'"),
        (["<a_01>"], "x: line 1 is '<a_01>'; expected '<a_1>'"),
        (["<a_1> <b_2>"], "x: line 1 is"),
        (["<a_4294967296>"], "token 4294967296; tokens go from 0"),
    ],
)
def test_text_that_is_not_of_the_template(lines, message):
    with pytest.raises(ValueError, match=message):
        read_tokens(lines, "lc-rec", "x")
