"""The verbs of `gempool keys`, from options to what is printed."""

import getpass
import sys

from access import hashed, is_digest, new_key
from access.keys import NAME
from core.secret import Secret
from gateway.verbs import Outcome

LONGEST_KEY = 4096


def new(name: str) -> Outcome:
    """A fresh key, and the lines of config/gateway.yaml that let it in."""
    if not NAME.fullmatch(name):
        return Outcome(
            problem="--name: begin with a letter or digit; letters, digits, _ . and - may follow, 63 characters in all."
        )
    key = new_key()
    return Outcome(
        f"""{key.reveal()}

This is the key. It is shown this once: hand it to the caller and keep no copy. These lines let it in; they go into
config/gateway.yaml, and count after a restart:

access:
  keys:
    - name: "{name}"
      key: {hashed(key)}
      # models: ["gemini-2.5-*"]         # left out: every model
      # per_caller: 100/hour             # left out: limits.per_caller
      # per_caller_and_model: 1/2s       # left out: limits.per_caller_and_model"""
    )


def hash_() -> Outcome:
    """The digest of the key on standard input; at a terminal it is asked for and not shown."""
    if sys.stdin.isatty():
        text = getpass.getpass("Key: ")
    else:
        text = sys.stdin.buffer.read(LONGEST_KEY + 2).decode("utf-8", "replace")
    key = text.strip()
    if not key or len(key) > LONGEST_KEY or any(c.isspace() or not c.isprintable() for c in key):
        return Outcome(
            problem="Standard input holds no key: one word in one line, as in `gempool keys hash < key.txt`."
        )
    if is_digest(Secret(key)):
        return Outcome(problem="This is a digest already. Hash the key itself.")
    return Outcome(hashed(Secret(key)))
