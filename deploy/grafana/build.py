"""`python -m deploy.grafana.build` writes the dashboards beside this file; tests/deploy sees to it that they are current."""

import json
from collections.abc import Mapping
from pathlib import Path

from deploy.grafana import accounts, overview, work

FOLDER = Path(__file__).parent / "dashboards"


def dashboards() -> Mapping[str, str]:
    """The text of each file, by its name."""
    built = {
        "overview": overview.DASHBOARD,
        "accounts": accounts.DASHBOARD,
        "pictures-and-batches": work.DASHBOARD,
    }
    return {f"{name}.json": json.dumps(made.json(), indent=1) + "\n" for name, made in built.items()}


if __name__ == "__main__":
    for name, text in dashboards().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
