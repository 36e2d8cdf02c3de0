"""The judge of policies says what IAM says, as far as our policies need it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from simulator.judge import Question
from tests.journeys.small import judge

ROLE = "arn:aws:sts::111122223333:assumed-role/Reader/x"
BUCKET = "arn:aws:s3:::reports"


def policy(effect: str = "Allow", **more: Any) -> dict[str, Any]:
    return {"Statement": [{"Effect": effect, "Action": "s3:GetObject", "Resource": f"{BUCKET}/runs/*", **more}]}


def ask(resource: str = f"{BUCKET}/runs/1", action: str = "s3:GetObject", **context: str) -> Question:
    keys = {"aws:principalorgid": "o-ours", **{name.replace("__", ":"): value for name, value in context.items()}}
    return Question(ROLE, action, resource, "eu-west-1", tuple(sorted(keys.items())))


@pytest.mark.parametrize(
    ("policies", "question", "allowed"),
    [
        ([policy()], ask(), True),
        ([policy()], ask(f"{BUCKET}/other/1"), False),
        ([policy()], ask(action="s3:PutObject"), False),
        ([], ask(), False),
        ([policy(), policy("Deny")], ask(), False),
        ([policy(Condition={"StringEquals": {"aws:PrincipalOrgID": "o-ours"}})], ask(), True),
        ([policy(Condition={"StringEquals": {"aws:PrincipalOrgID": "o-theirs"}})], ask(), False),
        ([policy(Condition={"StringEquals": {"iam:PassedToService": "ssm.amazonaws.com"}})], ask(), False),
        (
            [policy(Condition={"StringEquals": {"iam:PassedToService": "ssm.amazonaws.com"}})],
            ask(iam__passedtoservice="ssm.amazonaws.com"),
            True,
        ),
    ],
)
def test_a_policy_allows_what_it_says(policies: list[dict[str, Any]], question: Question, *, allowed: bool) -> None:
    assert judge().allows(json.dumps(policies), question) is allowed


@pytest.mark.parametrize(
    ("principal", "trusted"),
    [
        ({"AWS": "arn:aws:iam::111122223333:role/Reader"}, True),
        ({"AWS": "arn:aws:iam::111122223333:role/Writer"}, False),
        ({"AWS": "arn:aws:iam::999900001111:role/Reader"}, False),
        ({"Service": "ssm.amazonaws.com"}, False),
    ],
)
def test_a_role_is_played_by_whom_its_trust_policy_names(principal: dict[str, str], *, trusted: bool) -> None:
    trust = {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal}]}
    question = ask("arn:aws:iam::444455556666:role/Spoke", "sts:AssumeRole")
    assert judge().trusts(json.dumps(trust), question) is trusted
