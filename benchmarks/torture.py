"""All attacks on flaxchar, in one table: ``python benchmarks/torture.py``, or name some of the scripts in ``torture/``.

After each attack the table is written to ``results/torture.md`` and ``results/torture.json``; rows of scripts that did
not run are kept. The status is 1 where anything was lost or a script has failed.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "torture"))

from rows import Row  # noqa: E402

SCRIPTS = ("storage", "arithmetic", "inputs", "page")
HEAD = "| attack | tried | refused or detected | survived | lost |\n|---|---|---|---|---|\n"


def write(results: Path, scripts: dict[str, dict]) -> None:
    """Write the table, and the same as JSON."""
    rows = [Row(**row) for script in SCRIPTS for row in scripts.get(script, {"rows": []})["rows"]]
    tried, lost = sum(row.tried for row in rows), sum(row.lost for row in rows)
    results.mkdir(parents=True, exist_ok=True)
    (results / "torture.json").write_text(json.dumps(scripts, indent=2) + "\n")
    text = f"# Attacks: {tried:,} tried, {lost:,} lost\n\nMade by `python benchmarks/torture.py`.\n\n"
    (results / "torture.md").write_text(text + HEAD + "".join(f"{row}\n" for row in rows))


def main() -> int:
    """Run the scripts, print their rows as they come, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("scripts", nargs="*", choices=SCRIPTS, default=list(SCRIPTS))
    parser.add_argument("--results", type=Path, default=HERE / "results")
    options = parser.parse_args()
    kept = options.results / "torture.json"
    scripts = json.loads(kept.read_text()) if kept.exists() else {}
    failed = False
    print(HEAD, end="", flush=True)
    for name in options.scripts:
        began, rows = time.monotonic(), []
        with subprocess.Popen(
            [sys.executable, str(HERE / "torture" / f"{name}.py")], stdout=subprocess.PIPE, text=True
        ) as script:
            for line in script.stdout or ():
                if not line.startswith("| "):
                    continue
                print(line, end="", flush=True)
                rows.append(vars(Row.parse(line)))
                scripts[name] = {
                    "date": datetime.date.today().isoformat(),
                    "machine": platform.machine(),
                    "python": platform.python_version(),
                    "minutes": round((time.monotonic() - began) / 60, 1),
                    "rows": rows,
                }
                write(options.results, scripts)
        failed = failed or script.returncode != 0 or any(row["lost"] for row in rows)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
