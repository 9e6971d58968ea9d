"""Runs the template vectors, file by file, against what must pass: passing.txt says how many of each file do.

A file that passes fewer fails by the difference; what does not pass yet (functions that are not built) counts as
skipped. When more pass, the numbers in passing.txt are to be raised: --update does it.
"""
import pathlib
import re
import subprocess
import sys

here = pathlib.Path(__file__).parent
known = dict(line.split() for line in (here / "passing.txt").read_text().splitlines())
program = sys.argv[1]
update = "--update" in sys.argv
passed = failed = skipped = 0
for path in sorted((here / "vectors" / "templates").glob("*.jsonl")):
    out = subprocess.run([program, str(path)], capture_output=True, text=True, errors="replace", timeout=300).stdout
    result = re.search(r"(\d+) passed, (\d+) failed\s*$", out)
    good, bad = (int(result[1]), int(result[2])) if result else (0, 0)
    due = int(known.get(path.name, 0))
    if update:
        known[path.name] = str(good)
    elif good < due:
        print(out[-3000:])
        print(f"{path.name}: {good} pass, {due} must")
    print(f"{path.name}: {good} of {good + bad}" + (f", {bad} not yet" if bad else ""))
    passed += good
    failed += max(0, due - good)
    skipped += bad - max(0, due - good)
if update:
    (here / "passing.txt").write_text("".join(f"{name} {count}\n" for name, count in sorted(known.items())))
print(f"{passed} passed, {failed} failed, {skipped} skipped")
sys.exit(1 if failed else 0)
