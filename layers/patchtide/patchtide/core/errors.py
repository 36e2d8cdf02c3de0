"""What can go wrong, by whose fault and by what can be done now.

PatchtideError
├── OperatorError          a person wrote or asked something that cannot be: the sentence says what to change
│   ├── InvalidSchedule      an expression that names no moments
│   └── InvalidCampaign      a document with one or more problems
└── CloudError             AWS did not do what it was asked
    ├── Refused              it will not, however often it is asked: somebody has to mend something
    ├── Busy                 not now: throttled, over a quota, or failing inside; ask again later
    │   └── PutOff             not even tried: who was asked last did not answer, and is left alone for a while
    └── Overtaken            somebody else changed the same thing first: load again before deciding anything
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from patchtide.core.problem import Problem


class PatchtideError(Exception):
    """Anything that Patchtide itself raises."""


class OperatorError(PatchtideError):
    """A person asked for something that cannot be done as written."""


class InvalidSchedule(OperatorError):  # noqa: N818 - the house reads "raise InvalidSchedule", as in style.md
    """A schedule expression that names no moments, with the fix."""

    def __init__(self, expression: str, reason: str, fix: str) -> None:
        super().__init__(f"{expression!r}: {reason}. {fix}")
        self.expression, self.reason, self.fix = expression, reason, fix


class InvalidCampaign(OperatorError):  # noqa: N818
    """A campaign document with problems: all of them, in the order of the document."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(" | ".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class CloudError(PatchtideError):
    """AWS did not do what it was asked.

    `code` is AWS's own error code, so that a cause can be told from it.
    """

    def __init__(self, action: str, code: str, message: str) -> None:
        super().__init__(f"{action}: {message} ({code})")
        self.action, self.code, self.message = action, code, message


class Refused(CloudError):  # noqa: N818
    """AWS will not do this however often it is asked."""


class Busy(CloudError):  # noqa: N818
    """AWS cannot do this now; the same request may succeed later."""


class PutOff(Busy):
    """Whoever would be asked is left alone for a while, because it did not answer."""


class Overtaken(CloudError):  # noqa: N818
    """Somebody else changed the same thing since it was loaded."""
