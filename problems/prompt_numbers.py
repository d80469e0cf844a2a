"""Numbers in a text, as people, LaTeX and models write them: what each may mean, or that it is no single number."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import lru_cache
from itertools import pairwise

# Without traps: numbers of any length are rounded to 40 digits, and nothing raises.
ARITHMETIC = Context(prec=40, Emax=999_999, Emin=-999_999, traps=[])
HIGHEST_POWER = 9_999
SCALES = {
    "hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12, "lakh": 5, "crore": 7,
    "k": 3, "K": 3, "M": 6, "B": 9, "mn": 6, "mio": 6, "bn": 9, "tn": 12,
}  # fmt: skip
SPACES = "\u00a0\u2007\u2009\u202f"
CURRENCY = "$\u20ac\u00a3\u00a5\u20b9"
FRACTIONS = {
    character: unicodedata.normalize("NFKC", character).replace("\u2044", "/")
    for character in map(chr, (0xBC, 0xBD, 0xBE, *range(0x2150, 0x215F)))
}
RAISED = dict(zip("\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207b", "0123456789-", strict=True))

# How markup is taken off, in this order.
REWRITTEN: Sequence[tuple[re.Pattern[str], str]] = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        (r"<<[^<>\n]{0,200}>>", ""),  # the calculator's notes of GSM8K
        (r"`", ""),
        (r"\{,\}|\\,(?=\d{3})", ","),
        (r"\\!", ""),
        (r"\\[;: ]", " "),
        (r"\\([%$])", r"\1"),
        (r"\\[()\[\]]|\\(?:left|right|displaystyle|quad|qquad)(?![a-z])", " "),
        (r"\\(?:times|cdot|ast)(?![a-z])", "\u00d7"),
        (r"\\div(?![a-z])", "\u00f7"),
        (r"\\(?:approx|sim|simeq)(?![a-z])", "\u2248"),
        (r"\\pm(?![a-z])", "\u00b1"),
        (r"\\(?:text|mathrm|mathbf|textbf|mathit|operatorname|mbox|boxed|fbox|emph)\s?\{([^{}\n]{0,200})\}", r" \1 "),
        (r"(?<=\d)\\[dt]?frac\s?\{", r" \\frac{"),
        (r"\\[dt]?frac\s?\{\s?(-?[\d.,]{1,40})\s?\}\s?\{\s?([\d.,]{1,40})\s?\}", r"\1/\2"),
        (r"\\[dt]?frac\s?(\d)\s?(\d)", r"\1/\2"),
        (r"\^\s?\{?\\circ\}?", "\u00b0"),
        (r"\^\{\s?(-?\d{1,9})\s?\}", r"^\1"),
        (r"(?<=\d)[xX](?=10\^)", "\u00d7"),
        (r"\$\$", ""),
        (r"\$(?![ ])([^$\n]{1,200})(?<! )\$(?!\d)", r"\1"),
        (r"(?<=\d)\*\*(?=\d)|(?<=\d) \*\* (?=\d)", "^"),
        (r"\*\*|(?<![\d\s)])\*(?=[\d$])|^\*(?=\d)|(?<=\d)\*(?!\s?[\d(])|(?<!\w)_{1,2}(?=\d)|(?<=\d)_{1,2}(?!\w)", ""),
    ]
]
LITERAL = rf"(?:\d[\d.,'\u2019_{SPACES}]*\d|\d|(?<![\w.])\.\d+)"
ATOM = re.compile(
    rf"(?<!\w)(?<!\d\.)(?:(?P<label>\d+(?::\d+)+)"
    rf"|(?:(?P<whole>\d{{1,9}})[ \u00a0](?:and )?(?=\d{{1,9}}/\d))?(?P<literal>{LITERAL})"
    r"(?P<exponent>[eE][-+]?\d{1,4}(?!\w))?(?P<power>\^\(?-?\d{1,9}\)?)?(?P<root>!(?=[\s=*\u00d7]*[\d=]))?"
    r"(?P<ordinal>(?:st|nd|rd|th)\b)?"
    r"(?P<scale>[ -]?(?:hundred|thousand|million|billion|trillion|lakh|crore|bn|mn|mio|tn)s?\b|[kKMB]\b)?)"
)
OPERATOR = re.compile(r"\s?([-+*\u00d7\u00b7/\u00f7xX])\s?|\s?(\u2013|\u2014)\s?")
PERCENT = re.compile(r"\s?(?:%|percent\b|per cent\b)", re.IGNORECASE)
BEFORE = re.compile(rf"(?:^|[^\w)\]}}%])(?P<sign>[-\u2013\u2014]?)(?P<gap> ?)[{CURRENCY}]{{0,2}} ?(?P<inner>-?)$")
NO_NUMBER_BEFORE = re.compile(
    r"(?:[<>\u2264\u2265\u00b1^]|\+/-|(?:more|less|fewer|greater) than|sqrt\s?[({]?|\\[a-z]{2,20}\{?)\s?$"
)
NO_NUMBER_AFTER = re.compile(r"[xyz]\b|\s?(?:[\u00b1(^{\u221a\\]|\+/-)|\s?[-+*\u00d7/]\s?[(\w\\]")

PLAIN = re.compile(r"\d+(?:\.\d+)?|\.\d+")
GROUPED = re.compile(
    rf"\d{{1,3}}(?:([,'\u2019{SPACES}])\d{{3}})(?:\1\d{{3}})*(?:\.\d+)?|\d{{1,2}}(?:,\d\d)+,\d{{3}}"
    rf"|\d+(?:_\d+)+(?:\.\d+)?"
)
DOTTED = re.compile(rf"\d{{1,3}}(?:[.{SPACES}]\d{{3}})+,\d+|\d{{1,3}}(?:\.\d{{3}}){{2,}}")
COMMA = re.compile(r"0,\d+|\d+,(?:\d{1,2}|\d{4,})|\d{4,},\d+")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number, or an expression of numbers, in a text.

    Attributes:
        written: as it is written, with its sign.
        values: what it may mean; empty where it is no single number: a range, a ratio, a date, a root.
        start: index of its first character, without its sign.
        end: index behind its last one.
        ordinal: it is a place in an order, as "3rd".
        percent: whether it is one; its values are the number and its hundredth.
    """

    written: str
    values: tuple[Decimal, ...]
    start: int
    end: int
    ordinal: bool = False
    percent: bool = False


def readable(text: str) -> str:
    """A text with its LaTeX, emphasis and typography written in plain characters."""
    text = text.translate({0x2212: "-", 0x2010: "-", 0x2011: "-", 0x2044: "/", 0xFF05: "%"})
    text = re.sub("[ \u00a0]?[" + "".join(FRACTIONS) + "]", lambda found: " " + FRACTIONS[found[0][-1]], text)
    text = re.sub(r"(?<=\d)[" + "".join(RAISED) + "]+", lambda found: "^" + "".join(RAISED[c] for c in found[0]), text)
    for pattern, replacement in REWRITTEN:
        text = pattern.sub(replacement, text)
    return re.sub(r"(?<![\d ,.])(\d{1,3}(?: 000)+)(?![\d ]*\d)", lambda found: found[1].replace(" ", ","), text)


@lru_cache(maxsize=64)
def quantities(text: str) -> tuple[Quantity, ...]:
    """The numbers of a readable text, in its order; those that operators join are a single expression."""
    found: list[Quantity] = []
    group: list[re.Match[str]] = []
    for atom in ATOM.finditer(text):
        gap = text[group[-1].end() : atom.start()] if group else ""
        if group and (len(gap) > 3 or not OPERATOR.fullmatch(gap)):
            found.append(_quantity(text, group))
            group = []
        group.append(atom)
    return (*found, _quantity(text, group)) if group else ()


def whole_number_text(text: str) -> bool:
    """Whether a text is a number and nothing else but its sign, currency or percent."""
    text = readable(text.strip())
    found = quantities(text)
    if len(found) != 1 or not found[0].values or found[0].ordinal:
        return False
    return found[0].end == len(text) and bool(re.fullmatch(rf"[-\\{CURRENCY}]{{0,4}}", text[: found[0].start]))


def _quantity(text: str, group: Sequence[re.Match[str]]) -> Quantity:
    start, end = group[0].start(), group[-1].end()
    sign = _sign(text, start)
    percent = PERCENT.match(text, end)
    values = _expression(text, group, negative=sign == "-")
    before, after = text[max(0, start - 12) : start], text[end : end + 4]
    bracketed = before.endswith(("(", "[", "{")) and "," in group[0][0] and after[:1] in ")]}"
    money = before[-1:] in tuple(CURRENCY) and re.match(r"[mb]\b", after)
    if (
        sign == "?"
        or money
        or NO_NUMBER_BEFORE.search(before)
        or (NO_NUMBER_AFTER.match(after) and _joined(after))
        or bracketed
    ):
        values = ()
    if percent and values:
        values = (values[0], ARITHMETIC.divide(values[0], Decimal(100)))
    end = percent.end() if percent else end
    written = (sign if sign == "-" else "") + text[start:end].strip()
    return Quantity(written, values, start, end, bool(group[0]["ordinal"]), bool(percent))


def _joined(after: str) -> bool:
    """Whether what follows a number goes on with it: "2(3", "5 * x"; "12 (a dozen)" and "5 - so" do not."""
    return not re.match(r"\s\(|\s?-\s?[A-Za-z]|-[A-Za-z]|/[A-Za-z]|\s?/\s?[A-Za-z]|\\[\\)\]]", after)


def _sign(text: str, start: int) -> str:
    """ "-", "" or, where a dash may be either a sign or a dash, "?"."""
    before = text[max(0, start - 8) : start]
    found = BEFORE.search(before)
    if found is None or not (found["sign"] or found["inner"]):
        return ""
    if found["inner"] or not found["gap"]:
        return "-"
    earlier = text[max(0, start - 24) : max(0, start - len(before)) + found.start("sign")].rstrip()
    if earlier.endswith(("=", "(", "\u2248")) or re.search(r"\b(?:is|are|be)$", earlier):
        return "-" if found["sign"] != "\u2014" else "?"
    return "" if found["sign"] == "\u2014" else "?"


def _expression(text: str, group: Sequence[re.Match[str]], *, negative: bool) -> tuple[Decimal, ...]:
    """The value of numbers that operators join, or () where they are a range, a date or a fraction by zero."""
    signs = [text[one.end() : other.start()] for one, other in pairwise(group)]
    if _is_range(signs, group):
        return ()
    terms: list[Decimal] = []
    for place, atom in enumerate(group):
        value = _value(atom)
        if value is None:
            return ()
        sign = signs[place - 1].strip() if place else ""
        if sign in ("", "+", "-"):
            minus = sign == "-" or (not place and negative)
            terms.append(ARITHMETIC.minus(value) if minus else value)
        elif sign in ("/", "\u00f7"):
            if not value:
                return ()
            terms[-1] = ARITHMETIC.divide(terms[-1], value)
        else:
            terms[-1] = ARITHMETIC.multiply(terms[-1], value)
        if atom["whole"]:
            return _mixed(atom, group, negative=negative)
    total = Decimal(0)
    for term in terms:
        total = ARITHMETIC.add(total, term)
    return (total,)


def _mixed(whole: re.Match[str], group: Sequence[re.Match[str]], *, negative: bool) -> tuple[Decimal, ...]:
    parts = [_value(atom) for atom in group]
    if whole is not group[0] or len(parts) != 2 or parts[0] is None or not parts[1] or parts[0] >= parts[1]:
        return ()
    value = ARITHMETIC.add(Decimal(whole["whole"]), ARITHMETIC.divide(parts[0], parts[1]))
    return (ARITHMETIC.minus(value) if negative else value,)


def _is_range(signs: Sequence[str], group: Sequence[re.Match[str]]) -> bool:
    if any(OPERATOR.fullmatch(sign)[2] for sign in signs):  # type: ignore[index]
        return True
    if "-" in signs:
        first, second = _value(group[0]), _value(group[1])
        return len(signs) > 1 or first is None or second is None or first < second
    return signs.count("/") > 1


def _value(atom: re.Match[str]) -> Decimal | None:
    if atom["label"] or atom["root"]:
        return None
    value = _literal(atom["literal"])
    if value is None:
        return None
    if atom["exponent"]:
        value = ARITHMETIC.multiply(value, ARITHMETIC.create_decimal("1" + atom["exponent"]))
    if atom["power"]:
        power = int(atom["power"].strip("^()"))
        if abs(power) > HIGHEST_POWER or (not value and power <= 0):
            return None
        value = ARITHMETIC.power(value, Decimal(power))
    return _scaled(value, (atom["scale"] or "").strip(" -"))


def _scaled(value: Decimal, scale: str) -> Decimal | None:
    if not scale:
        return value
    power = SCALES[scale if len(scale) == 1 else scale.lower().removesuffix("s")]
    return ARITHMETIC.multiply(value, Decimal(10**power))


def _literal(literal: str) -> Decimal | None:
    """The value of digits with their separators; None where the separators have two readings, as in a list."""
    if PLAIN.fullmatch(literal):
        digits = literal
    elif GROUPED.fullmatch(literal) and not literal.startswith("0,"):
        digits = re.sub(r"[^\d.]", "", literal)
    elif DOTTED.fullmatch(literal):
        digits = re.sub(r"[^\d,]", "", literal).replace(",", ".")
    elif COMMA.fullmatch(literal):
        digits = literal.replace(",", ".")
    else:
        return None
    return ARITHMETIC.create_decimal(digits)
