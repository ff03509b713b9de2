"""Findings on disk: they survive a kill, and a million of them need no more memory than ten."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import msgspec
from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from proxy.bulk.compare.findings import ComparedKeys, Finding
from proxy.bulk.options import BadOption, OtherOptions
from proxy.errors import CannotStart, GaveUp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from proxy.bulk.compare.findings import ComparedOriginal

PICTURED = 60
"""Findings per cause, the worst ones, that keep their pictures: 40 MB for all causes together."""

_TABLES = """
CREATE TABLE IF NOT EXISTS words (body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS originals (key TEXT PRIMARY KEY, alike INTEGER, absent INTEGER, new TEXT)
  WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS findings (id INTEGER PRIMARY KEY, key TEXT, size TEXT, severity REAL, body BLOB);
CREATE TABLE IF NOT EXISTS shown (cause TEXT, severity REAL, finding INTEGER);
CREATE TABLE IF NOT EXISTS causes (cause TEXT, size TEXT, number INTEGER, PRIMARY KEY (cause, size)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS worst ON findings (severity DESC, key, size);
CREATE INDEX IF NOT EXISTS shown_by_cause ON shown (cause, severity);
CREATE INDEX IF NOT EXISTS shown_by_finding ON shown (finding);
"""

_DROP = "".join(f"DROP TABLE IF EXISTS {table};" for table in ("words", "originals", "findings", "shown", "causes"))

_decoder = msgspec.json.Decoder(Finding)


class OtherComparison(OtherOptions):
    """The unfinished comparison has other options; the message states what to do."""


class ComparisonTally(msgspec.Struct, kw_only=True):
    """The number of compared originals, and of derivatives that are alike, different, or on neither side."""

    originals: int
    alike: int
    different: int
    absent: int

    @property
    def compared(self) -> int:
        """Return how many derivatives exist on at least one side."""
        return self.alike + self.different

    @property
    def needed(self) -> int:
        """Return how many originals count towards a limit."""
        return self.originals

    @property
    def problems(self) -> str:
        """Return the number of differences as text for a status line."""
        return f"{self.different:,} different"

    def add(self, outcome: ComparedOriginal) -> None:
        """Count one more original."""
        self.originals += 1
        self.alike += outcome.alike
        self.different += len(outcome.findings)
        self.absent += outcome.absent


class FindingsDatabase:
    """A SQLite file with the findings of one comparison."""

    def __init__(self, path: Path, pictures: Path) -> None:
        self._path = path
        self._pictures = pictures
        self._alone = CapacityLimiter(1)  # one thread at a time may use the connection

    @contextmanager
    def opened(self, options: bytes, *, restart: bool = False) -> Iterator[None]:
        """Yield with the file open and locked; it is created if missing.

        Raises:
            BadOption: the file cannot be written.
            CannotStart: another comparison uses the file, or it is not usable.
            OtherComparison: the unfinished comparison in the file has other options.
        """
        try:
            self._database = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=0)
        except sqlite3.Error as fault:
            raise BadOption(f"--report: cannot write to {self._path} ({fault}). Use a writable folder.") from fault
        with closing(self._database):
            self._begin(options, restart=restart)
            yield

    def _begin(self, options: bytes, *, restart: bool) -> None:
        try:
            for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = NORMAL"):
                self._database.execute(f"PRAGMA {pragma}")
            self._database.executescript((_DROP if restart else "") + _TABLES)
            known = self._database.execute("SELECT body FROM words").fetchone()
            if not known:
                self._database.execute("INSERT INTO words VALUES (?)", (options,))
        except sqlite3.Error as fault:
            raise CannotStart(
                f"--report: cannot use {self._path} ({fault}). If another comparison uses the folder, wait until it "
                "ends or use another folder; otherwise delete the file."
            ) from fault
        if known and bytes(known[0]) != options:
            raise OtherComparison(
                f"--report: the unfinished comparison in {self._path.parent} has other options. Use the same options "
                "to continue it, another folder to keep it, or --restart to discard it."
            )

    def clear(self) -> None:
        """Delete the file; the next comparison starts over."""
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    async def has(self, key: str) -> bool:
        """Return whether an original was compared."""
        return bool(await run_sync(self._has, key, limiter=self._alone))

    async def add(self, outcome: ComparedOriginal) -> None:
        """Store the findings of an original durably."""
        try:
            await run_sync(self._add, outcome, limiter=self._alone)
        except sqlite3.Error as fault:
            raise GaveUp(f"--report: cannot write to {self._path} ({fault}).") from fault

    def _has(self, key: str) -> bool:
        return self._database.execute("SELECT 1 FROM originals WHERE key = ?", (key,)).fetchone() is not None

    def _add(self, outcome: ComparedOriginal) -> None:
        run = self._database.execute
        run("BEGIN")
        counts = outcome.key, outcome.alike, outcome.absent, " ".join(outcome.identities)
        run("INSERT INTO originals VALUES (?, ?, ?, ?)", counts)
        for one in outcome.findings:
            row = one.key, one.size, one.worst.severity, msgspec.json.encode(one)
            finding = run("INSERT INTO findings (key, size, severity, body) VALUES (?, ?, ?, ?)", row).lastrowid
            for cause, severity in {cause.code: cause.severity for cause in one.causes}.items():
                run("INSERT INTO shown VALUES (?, ?, ?)", (cause, severity, finding))
                run(
                    "INSERT INTO causes VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET number = number + 1",
                    (cause, one.size),
                )
        unpictured = self._limit_pictured({cause.code for one in outcome.findings for cause in one.causes})
        run("COMMIT")
        for body in unpictured:  # after the commit: a picture left by a kill is harmless
            for name in _decoder.decode(body).pair.pictures.values():
                (self._pictures / name).unlink(missing_ok=True)

    def _limit_pictured(self, causes: set[str]) -> list[bytes]:
        """Limit the pictured findings of these causes to the worst; return those that no cause shows any more."""
        unpictured: list[bytes] = []
        for cause in causes:
            milder = self._database.execute(
                "SELECT shown.rowid, finding, body FROM shown JOIN findings ON id = finding WHERE cause = ? "
                "ORDER BY shown.severity DESC, findings.severity DESC, key, size LIMIT -1 OFFSET ?",
                (cause, PICTURED),
            ).fetchall()
            for row, finding, body in milder:
                self._database.execute("DELETE FROM shown WHERE rowid = ?", (row,))
                if not self._database.execute("SELECT 1 FROM shown WHERE finding = ?", (finding,)).fetchone():
                    unpictured.append(body)
        return unpictured

    def tally(self) -> ComparisonTally:
        """Return the counts so far."""
        originals, alike, absent = self._database.execute(
            "SELECT count(*), coalesce(sum(alike), 0), coalesce(sum(absent), 0) FROM originals"
        ).fetchone()
        (different,) = self._database.execute("SELECT count(*) FROM findings").fetchone()
        return ComparisonTally(originals=originals, alike=alike, different=different, absent=absent)

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the number of derivatives by cause and size."""
        counts: dict[str, dict[str, int]] = {}
        for cause, size, number in self._database.execute("SELECT cause, size, number FROM causes"):
            counts.setdefault(cause, {})[size] = number
        return counts

    def findings(self) -> Iterator[Finding]:
        """Yield the findings, worst first."""
        for (body,) in self._database.execute("SELECT body FROM findings ORDER BY severity DESC, key, size"):
            yield _decoder.decode(body)

    def originals(self) -> Iterator[ComparedKeys]:
        """Yield the compared originals in the order of their keys."""
        for key, new in self._database.execute("SELECT key, new FROM originals ORDER BY key"):
            yield ComparedKeys(key=key, new=new)

    def pictured(self) -> Iterator[Finding]:
        """Yield the findings with pictures: the worst of each cause, ordered by severity, worst first."""
        rows = self._database.execute(
            "SELECT body FROM findings WHERE id IN (SELECT finding FROM shown) ORDER BY severity DESC, key, size"
        )
        for (body,) in rows:
            yield _decoder.decode(body)

    def unexcused(self, allowed: frozenset[str]) -> int:
        """Return how many findings have a cause that is not allowed."""
        return sum(any(cause.code not in allowed for cause in one.causes) for one in self.findings())
