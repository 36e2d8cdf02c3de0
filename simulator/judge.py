"""A judge of policies: the policy engine of the AWS emulator behind `patchtide local up`, asked by itself.

Run as a script by ministack's own interpreter, this file answers questions, a line of JSON each. Ours is no second opinion on
what IAM means: it only says who asks for what. Touches private names of exactly one version, as simulator/ministack.py does.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from simulator.ministack import PYTHON, VERSION


@dataclass(frozen=True)
class Question:
    """Whether a principal may do something to one resource. `context` are condition keys in lower case with their values."""

    principal: str
    action: str
    resource: str
    region: str
    context: tuple[tuple[str, str], ...] = field(default=())


class Judge:
    """A running engine. It is asked what it has not been asked before, so a whole journey costs it little."""

    def __init__(self) -> None:
        if not PYTHON.exists():
            raise FileNotFoundError(f"{PYTHON} is missing: run `make setup` first")
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and this very file
            [str(PYTHON), "-P", str(Path(__file__).resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"AUTH": "true", "PYTHONPATH": str(Path(__file__).resolve().parent.parent)},
        )
        self._known: dict[tuple[str, str, Question], bool] = {}

    def allows(self, policies: str, question: Question) -> bool:
        """Whether the policies of a principal, a list of them as JSON, allow it."""
        return self._asked("may", policies, question)

    def trusts(self, policy: str, question: Question) -> bool:
        """Whether a role's trust policy, as JSON, lets the principal assume it."""
        return self._asked("trust", policy, question)

    def _asked(self, kind: str, policies: str, question: Question) -> bool:
        key = (kind, policies, question)
        if key not in self._known:
            said = {"kind": kind, "policies": policies, **question.__dict__}
            assert self._process.stdin  # noqa: S101 - both are pipes
            assert self._process.stdout  # noqa: S101
            self._process.stdin.write(json.dumps(said) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
            if not answer:
                from simulator.protocol import BrokenDoubleError  # botocore, which the engine's side need not load

                raise BrokenDoubleError("the judge of policies has ended")
            self._known[key] = json.loads(answer)
        return self._known[key]

    def close(self) -> None:
        """The engine ends."""
        self._process.communicate()


def _main() -> None:
    import importlib.metadata

    if importlib.metadata.version("ministack") != VERSION:
        raise SystemExit(f"ministack {VERSION} is wanted: run `make .tools/ministack`")
    from ministack.core.iam_evaluator import (  # type: ignore[import-not-found,unused-ignore]
        EvalContext,
        evaluate,
        evaluate_trust_policy,
        parse_policy_document,
    )

    for line in sys.stdin:
        asked = json.loads(line)
        principal = asked["principal"]
        context = dict(asked["context"])
        about = EvalContext(
            principal_arn=principal,
            principal_type="AssumedRole",
            principal_account=(principal.split(":") + [""] * 5)[4],
            action=asked["action"],
            resource_arn=asked["resource"],
            region=asked["region"],
            secure_transport=True,
            service_context=context,
            principal_keys={"aws:principalorgid": context["aws:principalorgid"]},
        )
        said = json.loads(asked["policies"])
        if asked["kind"] == "trust":
            answer = evaluate_trust_policy(said, principal, about)
        else:
            answer = evaluate(about, [parse_policy_document(one) for one in said]).decision == "Allow"
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main()
