"""The tables of characters are what Go makes, and nobody changed them by hand."""
import hashlib
import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TABLES = ROOT / "src/tmpl/go/unicode_tables.hpp"


def test_the_tables_are_as_they_were_made():
    text, _, said = TABLES.read_text().rpartition("// sha256 of all above: ")
    assert hashlib.sha256(text.encode()).hexdigest() == said.strip()


def test_go_makes_the_same_tables():
    if shutil.which("go") is None:  # the checksum above is all there is to see
        return
    reference = subprocess.run([ROOT / "tests/golden/reference/build"], capture_output=True, text=True, check=True).stdout.strip()
    made = subprocess.run([reference, "unicode"], capture_output=True, text=True, check=True).stdout
    assert made == TABLES.read_text()
