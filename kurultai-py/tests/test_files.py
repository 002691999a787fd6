"""Python's own ``sqlite3`` is another SQLite in this process: what it closes drops the locks of ours."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import unittest

import kurultai.blocking

ENQUEUE = """
    import sys, kurultai.blocking
    with kurultai.blocking.open(sys.argv[1]) as k:
        print(k.tasks.enqueue("theirs").id)
"""

LOOK_AND_DIE = """
    import os, sqlite3, sys, kurultai.blocking
    k = kurultai.blocking.open(sys.argv[1])
    print(k.tasks.enqueue("first").id)
    c = sqlite3.connect(sys.argv[1].removeprefix("sqlite:"))
    c.execute("select count(*) from tasks").fetchone()
    c.close()
    for _ in range(100):
        print(k.tasks.enqueue("more").id)
    sys.stdout.flush()
    os._exit(1)
"""


def elsewhere(program: str, url: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), url], capture_output=True, text=True, check=False
    )
    assert done.stdout, done.stderr
    return done.stdout.split()


def look(path: str) -> set[str]:
    connection = sqlite3.connect(path)
    try:
        return {row[0] for row in connection.execute("select id from tasks")}
    finally:
        connection.close()


class OtherLibraries(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "team.db")
        self.url = f"sqlite:{self.path}"

    def test_a_look_with_sqlite3_loses_nothing(self) -> None:
        for _ in range(3):
            with kurultai.blocking.open(self.url) as k:
                acknowledged = {k.tasks.enqueue("ours").id}
                look(self.path)
                for _ in range(3):
                    acknowledged.update(elsewhere(ENQUEUE, self.url))
                    acknowledged.add(k.tasks.enqueue("ours").id)
                self.assertLessEqual(acknowledged, look(self.path))
            self.assertLessEqual(acknowledged, look(self.path))

    def test_a_look_with_sqlite3_and_a_crash_lose_nothing(self) -> None:
        acknowledged = elsewhere(LOOK_AND_DIE, self.url)
        self.assertEqual(len(acknowledged), 101)
        self.assertEqual(set(acknowledged), look(self.path))


if __name__ == "__main__":
    unittest.main()
