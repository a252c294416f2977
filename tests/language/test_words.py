"""Plain words: no message, help text, report text, docstring or page uses the patterns of this list."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import leadline

ROOT = Path(__file__).parents[2]
SOURCE = Path(leadline.__file__).parent
# A pattern, and what to say instead. Matched without regard to case, at the edges of words.
PATTERNS = {
    r"foretells?|foretold|foretelling": "predict",
    r"(hangs?|hung|hanging) on": "depend on",
    r"mend(s|ed|ing)?": "fix",
    r"told by (its|their|the|looking|which|what|how|where|a)": "inferred from",
    r"told apart": "distinguished",
    r"tells? (of|nothing|little)": "say about",
    r"(is|are|be|was|were) told": "is inferred, is reported",
    r"bears?( the| a| an| any| no| it| several)": "has",
    r"borne?": "has (a label)",
    r"(is|are|be) heard": "use, keep",
    r"hears? (more|less|what)": "use",
    r"(sees|see|seen) or hears?": "perceive",
    r"twins?": "near duplicate",
    r"rows? said to|what is said|(is|are|was|were) said\b(?! by)": "reported",
    r"(is|are|be) stated|stated (test|part|split|valid)": "given, predefined",
    r"(is|are|be|was|were) looked (at|for|over)": "examined, searched for",
    r"look(s|ed|ing)? (the )?data over": "examine the data",
    r"gives? (the|a) (target|class|label) away|giveaways?": "target leakage, predict the class",
    r"could have stayed unseen": "smallest detectable difference",
    r"more rows would": "add rows",
    r"running texts?": "text corpus",
    r"(is|are|were|was) drawn|drawn (at random|by)": "sampled",
    r"set aside": "held out, quarantined",
    r"sealed": "held-out",
    r"openings?": "evaluations",
    r"starved": "undertrained",
    r"doubtful": "excluded from training",
    r"the floor|a floor": "baseline",
    r"a writer|the writer|writers": "language model",
    r"goes? on( by itself| writing)?": "continue",
    r"go(es|ing)? on from|gone on from": "resume from",
    r"what came (last|first|later)": "the most recent rows",
    r"save (that|where|for|those)": "except",
    r"for want of": "without",
    r"price of|a price|its price": "impact",
    r"worth (a|its) (sentence|line|word)": "reported",
    r"from afar": "at low resolution",
    r"lays? down|laid down": "specify",
    r"cells?": "value",
    r"(is|are) ruled out by|rules? (nobody|nothing|anyone) out": "exclude",
    r"shows? nothing": "is blank",
    r"grown (again|on)": "refitted",
    r"cut by the clock": "stopped at the time limit",
    r"the clock (cut|stopped|said)": "time limit",
    r"(further|more|such|extra) rounds|rounds (on|of) (folds|seeds)": "repeats",
    r"hold(s|ing)? good": "is valid",
    r"(is|are|was|were) (found|seen) out": "is detected",
    r"for a while": "temporarily",
    r"out of hand": "immediately",
    r"as (it|they) came": "unchanged",
    r"thrown away": "discarded",
    r"the truth and every": "labels and predictions",
    r"for (whatever|all) else": "otherwise",
    r"what (is|was|comes) next": "the next token",
    r"(is|are) of no use": "is unusable",
    r"answers? otherwise": "disagree",
    r"otherwise than": "differently from",
    r"how sure (it|they) (is|are)": "confidence",
    r"makes? (nothing|much) of it": "ignore",
    r"(is|are) parted": "split",
    r"gone over": "processed",
    r"unlike the rest": "covariate shift",
    r"labels that look wrong": "label errors",
    r"repeats? another, or nearly": "near duplicates",
    r"would race|who (would )?races?": "eligible contenders",
}
COMPILED = re.compile("|".join(rf"(?P<p{i}>\b(?:{pattern})\b)" for i, pattern in enumerate(PATTERNS)), re.IGNORECASE)


def found(text: str) -> list[str]:
    """All words of a text that match a pattern."""
    return [match.group(0) for match in COMPILED.finditer(text)]


def sentences(path: Path) -> str:
    """The string literals of a module that have a space in them: messages, help texts, report texts and docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    strings = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return "\n".join(text for text in strings if " " in text.strip())


def prose(page: str) -> str:
    """A page without its code."""
    return re.sub(r"```(?!console).*?```|`[^`\n]*`", "", page, flags=re.DOTALL)


def counts() -> dict[str, int]:
    """How many matches each file has; files without any are left out."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
    texts = {path.relative_to(ROOT).as_posix(): prose(path.read_text(encoding="utf-8")) for path in pages}
    texts |= {f"src/{path.relative_to(SOURCE.parent).as_posix()}": sentences(path) for path in SOURCE.rglob("*.py")}
    tally = Counter({name: len(found(text)) for name, text in texts.items()})
    return {name: count for name, count in sorted(tally.items()) if count}


def test_no_such_words_are_used() -> None:
    assert counts() == {}, "reword what PATTERNS finds there"


def test_such_words_are_found() -> None:
    assert found("The class is foretold by a twin that hangs on it; mend it.") == [
        "foretold",
        "twin",
        "hangs on",
        "mend",
    ]
    assert found("The class is predicted from a near duplicate; fix it.") == []
    assert found(prose("A `cell` of\n```python\ntwin = 1\n```\n")) == []
    assert len(PATTERNS) >= 60
