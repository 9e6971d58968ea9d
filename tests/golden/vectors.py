"""Runs the template vectors, file by file. Every case passes but for those that README.md names under "What differs", each by its
name and with its reason. A case that fails and is not named there fails the run; so does one that is named there and passes.
"""
import pathlib
import re
import subprocess
import sys

here = pathlib.Path(__file__).parent
differs = (here / "README.md").read_text().partition("## What differs")[2].partition("\n## ")[0]
named = set(re.findall(r"^\| `([^`]+)` \|", differs, re.M))
passed = failed = 0
failing = set()
for path in sorted((here / "vectors" / "templates").glob("*.jsonl")):
    out = subprocess.run([sys.argv[1], str(path)], capture_output=True, text=True, errors="replace", timeout=300).stdout
    result = re.search(r"(\d+) passed, (\d+) failed\s*$", out)
    if not result:
        print(f"{path.name}: the run broke off: {out[-300:]}")
        failed += 1
        continue
    marks = re.escape(str(path)) + r":\d+ (\S+?): "
    found = list(re.finditer("^" + marks, out, re.M))
    for at, end in zip(found, [m.start() for m in found[1:]] + [len(out)]):
        if at[1] not in named:
            print(out[at.start():end].strip()[:3000])
            failed += 1
        failing.add(at[1])
    if len(found) != int(result[2]):
        print(f"{path.name}: {result[2]} failed, {len(found)} named")
        failed += 1
    passed += int(result[1])
for name in sorted(named - failing):
    print(f"{name}: README.md says that it differs; it passes, or there is no such case")
    failed += 1
print(f"{len(named & failing)} cases differ, as README.md says")
print(f"{passed} passed, {failed} failed, 0 skipped")
sys.exit(1 if failed else 0)
