"""What was written by hand beside a well-kept library that does the same, on cases whose answer is known.

    python benchmarks/libraries.py [csv] [encodings] [flops] [gradients]

`csv` needs duckdb and `encodings` charset-normalizer, which Leadline itself does not depend on. Nothing here depends on
time. The decisions are docs/decisions/0051 to 0054; results are appended to benchmarks/results/libraries.csv.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import strange_sources as strange
from record import Found, run

RESULTS = Path(__file__).parent / "results" / "libraries.csv"
FIELDS = ("when", "what", "must", "seen", "met", "machine", "versions")
TABLES = 120
SNIPPETS = 40  # of each text and length


# --- delimited text --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Read:
    """A table as a reader gives it: names, rows as a multiset, and how many lines it rejected."""

    names: list[str]
    rows: Counter[tuple[str, ...]]
    rejected: int


CHANGES: tuple[Callable[[strange.Grid, random.Random], strange.Grid], ...] = (
    lambda rows, rng: rows, strange.drop_header, strange.repeat_header, strange.ragged, strange.absurd, strange.german,
    strange.empty_labels, strange.wide,
)  # fmt: skip
NAMES = ("plain", "no header", "header comes again", "ragged", "absurd cells", "german numbers", "no labels", "wide")
ABOVE = ("", "", "# a comment\n", "A report of sales\n\n", "\n\n\n")


def strange_table(number: int, path: Path) -> tuple[str, Read]:
    """Write table `number`; what was done to it, and what a reader should find."""
    rng = random.Random(number)
    place = number % len(CHANGES)
    rows = CHANGES[place](strange.grid(rng), rng)
    header = NAMES[place] != "no header"
    above = rng.choice(ABOVE)
    path.write_text(above + strange.as_csv(rows, rng.choice(",;\t|")), encoding="utf-8")
    body = [tuple(row) for row in rows[1 if header else 0 :] if row != rows[0] or not header]
    width = Counter(map(len, rows)).most_common(1)[0][0] if NAMES[place] != "ragged" else 5
    good = Counter(row for row in body if len(row) == width)
    kind = NAMES[place] + {"": "", "#": ", comment", "A": ", title", "\n": ", blank lines"}[above[:1]]
    return kind, Read(rows[0] if header else [], good, len(body) - good.total())


def by_leadline(path: Path, folder: Path) -> Read | None:
    """By readers/csv.py, csv_dialect.py and csv_preamble.py."""
    import polars as pl

    from leadline.readers.csv import convert
    from leadline.system.errors import LeadlineError

    try:
        done = convert(path, folder, path.name)
    except LeadlineError:
        return None
    frame = pl.read_parquet(done.table).fill_null("")
    return Read(frame.columns, Counter(frame.rows()), len(done.bad))


def by_duckdb(path: Path, folder: Path, **settings: Any) -> Read | None:
    """By DuckDB's sniffer, all cells as text and bad lines into its table of rejects."""
    import duckdb

    con = duckdb.connect()
    try:
        found = con.read_csv(str(path), all_varchar=True, store_rejects=True, sample_size=-1, **settings)
        names, rows = found.columns, found.fetchall()
        (rejected,) = con.execute("select count(distinct line) from reject_errors").fetchone() or (0,)
    except (duckdb.Error, UnicodeDecodeError):
        return None
    finally:
        con.close()
    cells = [tuple("" if cell is None else str(cell) for cell in row) for row in rows]
    return Read(names, Counter(row for row in cells if list(row) != names), rejected)


def right(found: Read | None, true: Read) -> bool:
    """Whether names, all good rows and the number of bad lines are as they were written."""
    named = found is not None and (found.names == true.names if true.names else found.names != list(true.rows)[:1])
    return found is not None and named and found.rows == true.rows and found.rejected == true.rejected


def delimited(data: Path, folder: Path) -> Found:
    """All tables by each reader."""
    readers: dict[str, Callable[[Path, Path], Read | None]] = {
        "leadline": by_leadline, "duckdb": by_duckdb,
        "duckdb, not strict": lambda path, scratch: by_duckdb(path, scratch, strict_mode=False),
    }  # fmt: skip
    hits: dict[str, Counter[str]] = {name: Counter() for name in readers}
    rows: dict[str, int] = dict.fromkeys(readers, 0)
    tried: Counter[str] = Counter()
    for number in range(TABLES):
        path = folder / "table.csv"
        kind, true = strange_table(number, path)
        tried[kind] += 1
        for name, read in readers.items():
            found = read(path, folder)
            hits[name][kind] += right(found, true)
            rows[name] += found is not None and found.rows == true.rows
    said = []
    for name, counts in hits.items():
        worst = sorted((kind for kind in tried if counts[kind] < tried[kind]), key=lambda k: counts[k] - tried[k])[:6]
        lost = "; ".join(f"{kind} {counts[kind]} of {tried[kind]}" for kind in worst)
        said.append(f"{name} {counts.total()} ({rows[name]} with the rows right){': ' * bool(lost)}{lost}")
    return [_row(f"csv: {TABLES} strange tables read whole", "leadline reads more tables right", " | ".join(said),
                 hits["leadline"].total() > max(c.total() for n, c in hits.items() if n != "leadline"))]  # fmt: skip


# --- encodings -------------------------------------------------------------------------------------------------------

TEXTS = {
    "cp1251": "очень хороший товар всем советую пришёл с опозданием но цвет красный и размер большой как на фото",
    "koi8_r": "очень хороший товар всем советую пришёл с опозданием но цвет красный и размер большой как на фото",
    "cp866": "очень хороший товар всем советую пришёл с опозданием но цвет красный и размер большой как на фото",
    "cp1253": "το χρώμα είναι κόκκινο και πράσινο αλλά το μπλε είναι καλύτερο για το σπίτι και το μέγεθος μεγάλο",
    "cp1255": "הצבע האדום והירוק יפה מאוד אבל הכחול הוא הטוב ביותר לבית והגודל מתאים לכולם",
    "cp1256": "اللون الأحمر والأخضر جميل لكن اللون الأزرق هو الأفضل في البيت والحجم كبير",
    "cp874": "สีแดง และ สีเขียว สวย มาก แต่ สีน้ำเงิน ดี ที่สุด สำหรับ บ้าน ขนาด ใหญ่",
    "cp932": "とても良い 商品でした 届くのが 遅い ですが 赤い色が きれいで 気に入りました またお願いします",
    "euc_jp": "とても良い 商品でした 届くのが 遅い ですが 赤い色が きれいで 気に入りました またお願いします",
    "gb18030": "这部 电影 非常 好看 我很 喜欢 但是 太长 了 红色 的 比 蓝色 好 大小 也 合适",
    "big5": "這部 電影 非常 好看 我很 喜歡 但是 太長 了 紅色 的 比 藍色 好 大小 也 合適",
    "cp949": "아주 좋은 상품입니다 배송이 너무 늦어요 빨간색이 예쁘고 크기도 적당합니다 다시 사고 싶어요",
    "cp1250": "żółty i błękitny kolor święta są już za pasem wielkość dobra źle wysłany łódź część",
    "cp850": "grün und schön süß größe straße über mädchen hören früh für später möbel käse",
    "cp1252": "größe straße élève à l'école año niño coração não övrigt ångström français über",
}
LENGTHS = (2, 5, 20)  # rows of the snippet


def snippets(rng: random.Random) -> Iterator[tuple[str, int, str]]:
    """(encoding, rows, text): a small table of a number and a few words a row, as they come in a stranger's CSV."""
    for encoding, words in TEXTS.items():
        stock = words.split(" ")
        for length in LENGTHS:
            for _ in range(SNIPPETS):
                lines = [
                    f"{rng.randint(1, 99)},{' '.join(rng.choices(stock, k=rng.randint(1, 4)))}" for _ in range(length)
                ]
                text = "id,text\n" + "\n".join(lines) + "\n"
                if any(letter > "\x7f" for letter in text):
                    yield encoding, length, text


def encodings(data: Path, folder: Path) -> Found:
    """Share of texts that come back letter by letter."""
    from charset_normalizer import from_bytes

    from leadline.readers.encoding import guess, transcode

    def ours(raw: bytes) -> str:
        path = folder / "raw"
        path.write_bytes(raw)
        return transcode(path, folder, guess(raw)).read_text(encoding="utf-8")

    def theirs(raw: bytes) -> str:
        best = from_bytes(raw).best()
        return "" if best is None else str(best)

    hits: dict[str, Counter[int]] = {"leadline": Counter(), "charset-normalizer": Counter()}
    lost: dict[str, Counter[str]] = {name: Counter() for name in hits}
    tried: Counter[int] = Counter()
    for encoding, length, text in snippets(random.Random(0)):
        raw = text.encode(encoding)
        tried[length] += 1
        for name, read in (("leadline", ours), ("charset-normalizer", theirs)):
            hits[name][length] += read(raw) == text
            lost[name][encoding] += read(raw) != text
    said = [
        f"{name} {', '.join(f'{counts[n] / tried[n]:.1%} at {n} rows' for n in LENGTHS)} (most lost: "
        f"{', '.join(f'{e} {n}' for e, n in lost[name].most_common(4) if n)})"
        for name, counts in hits.items()
    ]  # fmt: skip
    return [_row(f"encodings: {tried.total():,} small tables in {len(TEXTS)} encodings", "leadline restores more",
                 " | ".join(said), hits["leadline"].total() > hits["charset-normalizer"].total())]  # fmt: skip


# --- FLOPs and gradients ---------------------------------------------------------------------------------------------


def layers() -> Iterator[tuple[str, Any, Any, int]]:
    """(name, module, input, FLOPs counted by hand from the definition: multiply-adds count 2, biases not)."""
    import torch
    from torch import nn

    x = torch.zeros
    yield "linear", nn.Linear(7, 5), x(3, 7), 2 * 3 * 7 * 5
    yield "conv, padded", nn.Conv2d(3, 8, 3, padding=1), x(2, 3, 6, 6), 2 * 2 * 8 * 36 * 27
    yield "conv, grouped", nn.Conv2d(4, 8, 3, groups=2), x(2, 4, 6, 6), 2 * 2 * 8 * 16 * 18
    yield "conv, strided", nn.Conv1d(2, 4, 5, stride=2), x(3, 2, 21), 2 * 3 * 4 * 9 * 10
    yield "conv, transposed", nn.ConvTranspose2d(3, 4, 2, stride=2), x(2, 3, 5, 5), 2 * 2 * 3 * 25 * 16
    yield "lstm", nn.LSTM(4, 6, batch_first=True), x(2, 5, 4), 2 * 2 * 5 * 24 * (4 + 6)
    yield "gru, two layers", nn.GRU(4, 6, 2, batch_first=True), x(2, 5, 4), 2 * 2 * 5 * (18 * 10 + 18 * 12)
    yield "gru, both ways", nn.GRU(4, 6, bidirectional=True), x(5, 2, 4), 2 * 2 * 2 * 5 * 18 * 10
    yield "relu", nn.ReLU(), x(3, 5), 15
    yield "layer norm", nn.LayerNorm(5), x(3, 5), 4 * 15
    yield "max pooling", nn.MaxPool2d(2), x(1, 2, 4, 4), 32


def flops(data: Path, folder: Path) -> Found:
    """Each layer by both counters."""
    from torch.utils.flop_counter import FlopCounterMode

    from leadline.inspect.flops import formula

    wrong: dict[str, list[str]] = {"leadline": [], "torch.utils.flop_counter": []}
    count = 0
    for name, layer, x, true in layers():
        count += 1
        with FlopCounterMode(display=False) as counter:
            out = layer(x)
        out = out[0] if isinstance(out, tuple) else out
        for who, seen in (("leadline", formula(layer, [x], [out]).flops), ("torch.utils.flop_counter",
                                                                          counter.get_total_flops())):  # fmt: skip
            if seen != true:
                wrong[who].append(f"{name} {seen} for {true}")
    said = [f"{who} {count - len(lines)}{': ' * bool(lines)}{'; '.join(lines)}" for who, lines in wrong.items()]
    return [_row(f"FLOPs: {count} layers counted by hand", "leadline counts more layers right", " | ".join(said),
                 len(wrong["leadline"]) < len(wrong["torch.utils.flop_counter"]))]  # fmt: skip


def gradients(data: Path, folder: Path) -> Found:
    """Passes through the network that each check takes, and the broken backward passes that each finds."""
    import torch
    from torch import nn

    from leadline.inspect.gradcheck import differences

    class Scaled(torch.autograd.Function):
        """The same values forward; the gradient times `factor` backward."""

        @staticmethod
        def forward(ctx: Any, values: Any, factor: Any) -> Any:
            ctx.factor = factor
            return values.clone()

        @staticmethod
        def backward(ctx: Any, gradient: Any) -> Any:
            return gradient * ctx.factor, None

    class Net(nn.Module):
        def __init__(self, outer: float, one: float) -> None:
            super().__init__()
            self.first, self.second, self.outer = nn.Linear(8, 16), nn.Linear(16, 3), outer
            self.of_weights = torch.ones(16, 8, dtype=torch.double)
            self.of_weights[3, 2] = one

        def forward(self, x: Any) -> Any:
            weight = Scaled.apply(self.first.weight, self.of_weights)
            hidden = nn.functional.linear(x, weight, self.first.bias).relu()
            return self.second(Scaled.apply(hidden, self.outer))

    found: dict[str, Counter[str]] = {name: Counter() for name in ("leadline", "gradcheck", "gradcheck, fast")}
    passes: Counter[str] = Counter()
    tried = 10
    for seed in range(tried):
        for label, outer, one in (
            ("right", 1.0, 1.0),
            ("by 1%", 1.01, 1.0),
            ("by 100%", 2.0, 1.0),
            ("in one weight", 1.0, 2.0),
        ):
            torch.manual_seed(seed)
            net = Net(outer, one).double()
            x, calls = torch.randn(12, 8, dtype=torch.double), [0]
            net.register_forward_hook(lambda *_, calls=calls: calls.__setitem__(0, calls[0] + 1))

            def loss(out: Any) -> Any:
                return out.square().mean()

            checked = differences(net, (x,), loss, checks=6, seed=seed)
            found["leadline"][label] += any(each.error > 1e-4 for each in checked)
            passes["leadline"] += calls[0] * (label == "right")
            names = [name for name, _ in net.named_parameters()]
            weights = tuple(p.detach().clone().requires_grad_() for p in net.parameters())

            def whole(*values: Any, net: Any = net, x: Any = x, names: Any = names) -> Any:
                return torch.func.functional_call(net, dict(zip(names, values, strict=True)), (x,)).square().mean()

            for name, fast in (("gradcheck", False), ("gradcheck, fast", True)):
                calls[0] = 0
                ok = torch.autograd.gradcheck(whole, weights, raise_exception=False, fast_mode=fast)
                found[name][label] += not ok
                passes[name] += calls[0] * (label == "right")
    said = [
        f"{name}: of {tried} wrong by 1% {counts['by 1%']} found, by 100% {counts['by 100%']}, in one weight "
        f"{counts['in one weight']}, {counts['right']} false alarms, {passes[name] / tried:.0f} passes"
        for name, counts in found.items()
    ]
    return [_row("gradients: 10 networks, right and wrong in three ways", "each check, side by side", " | ".join(said),
                 True)]  # fmt: skip


def _row(what: str, must: str, seen: str, met: bool) -> dict[str, Any]:
    return {"what": what, "must": must, "seen": seen, "met": met}


ROWS = {"csv": delimited, "encodings": encodings, "flops": flops, "gradients": gradients}

if __name__ == "__main__":
    sys.exit(run(__doc__, RESULTS, FIELDS, ROWS))
