"""Which shell an instance has: people's scripts are sent by the document that fits.

Automation runs this file as it stands here, with nothing but the standard library of Python 3.11.
"""


def shell(events: dict[str, str], context: dict[str, object]) -> dict[str, str]:
    """The document that runs a script on the platform that SSM says the instance has: Windows, Linux or MacOS."""
    windows = events["Platform"] == "Windows"
    return {"Document": "AWS-RunPowerShellScript" if windows else "AWS-RunShellScript"}
