"""A pretend fleet for somebody's own campaign: made up from it, or read from a file.

    fleet = troubled(made_up(campaign, 5), 5, seed)
    fleet, problems = read_fleet(document, campaign)
    made = organization(fleet, campaign, seed)

Made up, it has the accounts that the campaign names, and each wave finds somebody to patch. From a file, it is what
`FleetDocument` shows. The same seed has the same trouble befall the same servers.
"""

from __future__ import annotations

import difflib
import math
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, product
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from patchtide.core.campaign import GROUP_KEY, IDS_KEY, Campaign, PatchException, Target, Wave
from patchtide.core.fields import AccountId, Percent, Regions
from patchtide.core.problem import Problem
from simulator import sample
from simulator.fleet import Behaviour, Organization, Platform, Unit

ACCOUNTS_OF_A_UNIT = 3
OPTIONS = 200  # ways to satisfy a wave's targets that are looked at

# Behaviours that only one kind of system knows; all others can befall any.
ONLY: Mapping[Behaviour, Platform] = {
    Behaviour.FALSE_FAILURE: "Windows",
    Behaviour.WINDOWS_UPDATE: "Windows",
    Behaviour.WSUS_UNREACHABLE: "Windows",
    Behaviour.PKG_LOCK: "Linux",
    Behaviour.PKG_CONFLICT: "Linux",
    Behaviour.REPO_METADATA: "Linux",
    Behaviour.NOEXEC: "Linux",
    Behaviour.NO_PYTHON: "Linux",
    Behaviour.OUT_OF_MEMORY: "Linux",
}


# --- a fleet ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Member:
    """A member account. `path` are the units that it is in, from the one below the root down."""

    id: str
    name: str
    path: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    onboarded: bool = True

    def within(self, selector: str, *, deep: bool) -> bool:
        """Whether it is the account, or in the unit or root; `deep`, also in a unit below."""
        if selector.isdigit():
            return self.id == selector
        if selector.startswith("r-"):
            return deep or not self.path
        return selector in self.path if deep else self.path[-1:] == (selector,)


@dataclass(frozen=True)
class Server:
    """An instance. `settled` says that somebody chose its behaviour; `rate` is the entry of a file with a failure rate of its
    own that it comes from, and that rate."""

    account: str
    region: str
    name: str
    tags: Mapping[str, str]
    platform: Platform = "Linux"
    behaviour: Behaviour = Behaviour.HEALTHY
    id: str = ""
    settled: bool = False
    rate: tuple[int, float] | None = None


@dataclass(frozen=True)
class Fleet:
    """Accounts with their servers, and resource groups, each of what carries all of its tags."""

    members: tuple[Member, ...]
    servers: tuple[Server, ...]
    groups: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    root: str = ""
    made_up: bool = False


def troubled(fleet: Fleet, failure_rate: float, seed: int) -> Fleet:
    """The fleet with something the matter with that percentage of its servers, whatever the seed chooses."""
    rng = random.Random(f"rehearsal {seed}")  # noqa: S311 - a story, not a secret
    by_rate: dict[tuple[int, float], list[int]] = {}
    for number, server in enumerate(fleet.servers):
        if not server.settled:
            by_rate.setdefault(server.rate or (-1, failure_rate), []).append(number)
    servers = list(fleet.servers)
    for (_, rate), numbers in sorted(by_rate.items()):
        for number in sorted(rng.sample(numbers, math.ceil(len(numbers) * rate / 100))):
            servers[number] = replace(servers[number], behaviour=rng.choice(_troubles(servers[number].platform)))
    return replace(fleet, servers=tuple(servers))


def _troubles(platform: Platform) -> list[Behaviour]:
    return [one for one in Behaviour if one is not Behaviour.HEALTHY and ONLY.get(one, platform) == platform]


def organization(fleet: Fleet, campaign: Campaign, seed: int) -> Organization:
    """The fleet as an organisation, with whatever units the campaign names."""
    regions = (sample.REGIONS[0], *campaign.regions, *(region for one in fleet.members for region in one.regions))
    made = Organization(sample.HUB, dict.fromkeys(regions), seed)
    root = fleet.root or next((one for one in _selectors(campaign) if one.startswith("r-")), made.root.id)
    made.units = {root: Unit(root, "Root", None)}
    made.root = made.units[root]
    made.accounts[sample.HUB].unit_id = ""  # what the hub itself has is no part of a pretend fleet, unless it is named
    paths = [one.path for one in fleet.members] + [(one,) for one in _selectors(campaign) if one.startswith("ou-")]
    for path in paths:
        for unit, parent in zip(path, (root, *path), strict=False):
            made.units.setdefault(unit, Unit(unit, unit, parent))
    for member in fleet.members:
        _add_account(made, member, campaign)
    for server in fleet.servers:
        _add_node(made, server)
    for name, tags in fleet.groups.items():
        for member in fleet.members:
            for region in made.accounts[member.id].regions:
                made.add_group(made.accounts[member.id], region, name, tags)
    return made


def _add_account(made: Organization, member: Member, campaign: Campaign) -> None:
    roles = {**sample.ONBOARDED, campaign.execution_role: None} if member.onboarded else {}
    unit = made.units[member.path[-1]] if member.path else made.root
    if member.id == made.hub:
        made.accounts[made.hub].roles.update(roles)
        made.accounts[made.hub].unit_id = unit.id
    else:
        made.add_account(member.name, unit, id=member.id, roles=roles, regions=member.regions or None)


def _add_node(made: Organization, server: Server) -> None:
    node = made.add_node(
        made.accounts[server.account],
        server.region,
        server.name,
        server.behaviour,
        tags=server.tags,
        platform=server.platform,
        hybrid=server.id.startswith("mi-"),
    )
    if server.id:
        del made.nodes[node.id]
        node.id = server.id
        made.nodes[node.id] = node


def _selectors(campaign: Campaign) -> Iterator[str]:
    """Whatever the campaign names accounts by: ids, units, the root."""
    yield from campaign.accounts
    for wave in campaign.waves:
        yield from wave.accounts
    yield from campaign.exclude_accounts


# --- a fleet that is made up from the campaign --------------------------------------------------------------------------


@dataclass(frozen=True)
class _Slot:
    """Where a server will stand. With `only` it is meant for that wave alone, which names it by its id."""

    number: int
    member: Member
    region: str
    id: str = ""
    only: str = ""


def made_up(campaign: Campaign, per_location: int) -> Fleet:
    """A fleet that the campaign matches: the accounts it names, three for each unit, and in each of its locations so many
    servers, of which the first wave has the fewest."""
    members = tuple(_members(campaign))
    base = _base(campaign)
    free = _slots(campaign, members, base, per_location)
    servers = [
        server
        for number, wave in enumerate(campaign.waves)
        for server in _servers(campaign, number, _taken(campaign, number, wave, base, free, members))
    ]
    servers += _excluded(campaign, members, base, per_location)
    for exception in campaign.exceptions:
        _spare(servers, exception)
    targets = [target for wave in campaign.waves for target in wave.targets]
    targets += [target for exception in campaign.exceptions for target in exception.targets]
    groups = {
        name: {_group_tag(name): ("yes",)} for target in targets if target.key == GROUP_KEY for name in target.values
    }
    return Fleet(members, tuple(_numbered(servers)), groups, made_up=True)


def _members(campaign: Campaign) -> Iterator[Member]:
    """The accounts that the campaign names, those that its waves and exclusions name as well, and some in each unit."""
    ids = [one for one in campaign.accounts if one.isdigit()]
    named = [one for one in campaign.accounts if not one.isdigit()]
    if not named:
        yield from _in_units_of_waves(campaign, ids)
        return
    top = tuple(named[:1]) if named[0].startswith("ou-") else ()
    inner = [one for one in _selectors(campaign) if one.startswith("ou-") and one not in named]
    others = [one for one in _selectors(campaign) if one.isdigit() and one not in ids]
    for id_ in dict.fromkeys((*ids, *others)):
        yield Member(id_, f"account-{id_[-4:]}", () if id_ in ids else top)
    paths = {one: () if one.startswith("r-") else (one,) for one in named} | {one: (*top, one) for one in inner}
    fresh = (id_ for number in range(1, 10**6) if (id_ := f"2{number:011d}") not in {*ids, *others})
    for unit, path in paths.items():
        name = unit.rpartition("-")[2] if path else "root"
        for number in range(1, ACCOUNTS_OF_A_UNIT + 1):
            yield Member(next(fresh), f"{name}-{number}", path)


def _in_units_of_waves(campaign: Campaign, ids: Iterable[str]) -> Iterator[Member]:
    """Accounts that are all named by their ids, dealt out to the units that waves narrow them down by."""
    units = dict.fromkeys(one for wave in campaign.waves for one in wave.accounts if one.startswith("ou-"))
    homes: list[tuple[str, ...]] = [*((one,) for one in units), ()]
    for number, id_ in enumerate(dict.fromkeys(ids)):
        yield Member(id_, f"account-{id_[-4:]}", homes[number % len(homes)])


def _base(campaign: Campaign) -> tuple[Target, ...]:
    """The targets that all waves share: the campaign's own."""
    together = zip(*(wave.targets for wave in campaign.waves), strict=False)
    shared: list[Target] = []
    for targets in together:
        if len(set(targets)) > 1:
            break
        shared.append(targets[0])
    return tuple(shared)


def _places(campaign: Campaign, wave: Wave | None, members: Iterable[Member]) -> list[tuple[Member, str]]:
    """The locations of a wave, or of the whole campaign."""
    deep = campaign.include_child_units
    chosen = [
        one
        for one in members
        if any(one.within(name, deep=deep) for name in campaign.accounts)
        and not any(one.within(name, deep=True) for name in campaign.exclude_accounts)
        and (not wave or not wave.accounts or any(one.within(name, deep=deep) for name in wave.accounts))
    ]
    return [(one, region) for one in chosen for region in ((wave and wave.regions) or campaign.regions)]


def _slots(
    campaign: Campaign, members: Sequence[Member], base: tuple[Target, ...], per_location: int
) -> dict[int, _Slot]:
    """All slots by number. Where servers are named by id there are just these, spread over the locations."""
    everywhere = _places(campaign, None, members)
    found: list[tuple[tuple[Member, str], str, str]] = []
    ids = _ids(base)
    if ids is None:
        enough = max(per_location, math.ceil(len(campaign.waves) / (len(everywhere) or 1)))
        found += [(place, "", "") for _ in range(enough) for place in everywhere]
        for wave in campaign.waves:
            own = _dealt(_places(campaign, wave, members), _ids(wave.targets))
            found += [(place, id_, wave.name) for place, id_ in own]
    else:
        found += [(place, id_, "") for place, id_ in _dealt(everywhere, ids)]
    return {
        number: _Slot(number, member, region, id_, only) for number, ((member, region), id_, only) in enumerate(found)
    }


def _dealt(places: Sequence[tuple[Member, str]], ids: Sequence[str] | None) -> Iterator[tuple[tuple[Member, str], str]]:
    for number, id_ in enumerate(ids or () if places else ()):
        yield places[number % len(places)], id_


def _ids(targets: Iterable[Target]) -> list[str] | None:
    """The instances that all of the targets name; None where none of them names any."""
    named = [target.values for target in targets if target.key == IDS_KEY]
    if not named:
        return None
    return [id_ for id_ in dict.fromkeys(named[0]) if all(id_ in values for values in named)]


def _taken(
    campaign: Campaign,
    number: int,
    wave: Wave,
    base: tuple[Target, ...],
    free: dict[int, _Slot],
    members: Sequence[Member],
) -> list[_Slot]:
    """The slots that the wave takes of those that are still free: its share, or all that is left where nothing else tells
    its servers from the others."""
    places, own = set(_places(campaign, wave, members)), _ids(wave.targets[len(base) :])
    mine = [
        slot
        for slot in free.values()
        if (slot.member, slot.region) in places
        and slot.only in ("", wave.name)
        and (slot.id in own if own is not None else not slot.only)
    ]
    most = wave.max_instances or len(mine)
    if len(wave.targets) > len(base) and own is None and number < len(campaign.waves) - 1:
        mine = mine[: min(most, _share(number, len(campaign.waves), len(mine)))]
    for slot in mine:  # also those that are too many: nothing tells them from the wave's own
        del free[slot.number]
    return mine[:most]


def _share(number: int, waves: int, size: int) -> int:
    """How many of those left a wave takes: with three waves 1 of 10, then 3 of 9, then the rest."""
    weights = [(one + 1) * (one + 2) for one in range(waves)]
    return max(1, round(size * weights[number] / sum(weights[number:])))


def _servers(campaign: Campaign, number: int, slots: Iterable[_Slot]) -> Iterator[Server]:
    wave, before = campaign.waves[number], [one.targets for one in campaign.waves[:number]]
    options = list(_options(wave.targets, [one for one in before if len(one) > len(_base(campaign))]))
    for place, slot in enumerate(slots):
        yield _server(campaign, slot, options[place % len(options)])


def _server(campaign: Campaign, slot: _Slot, tags: Mapping[str, str]) -> Server:
    said = " ".join((campaign.name, *tags, *tags.values())).lower()
    platform: Platform = "Windows" if "windows" in said else "Linux"
    return Server(slot.member.id, slot.region, slot.member.name, tags, platform, id=slot.id)


def _options(targets: Iterable[Target], avoided: Sequence[tuple[Target, ...]]) -> Iterator[dict[str, str]]:
    """The tags by which a server satisfies the targets; if it can be, without satisfying those of a wave before."""
    allowed: dict[str, tuple[str, ...]] = {}
    for target in targets:
        if target.key.startswith("tag:"):
            key = target.key.removeprefix("tag:")
            both = tuple(value for value in allowed.get(key, target.values) if value in target.values)
            allowed[key] = (
                both or target.values
            )  # no server can carry both values: whatever it carries, nothing matches
        elif target.key == GROUP_KEY:
            allowed[_group_tag(target.values[0])] = ("yes",)
    every = [dict(zip(allowed, values, strict=True)) for values in islice(product(*allowed.values()), OPTIONS)]
    apart = [tags for tags in every if not any(_satisfies(tags, one) for one in avoided)]
    yield from apart or every


def _satisfies(tags: Mapping[str, str], targets: Iterable[Target]) -> bool:
    for target in targets:
        if target.key == GROUP_KEY and _group_tag(target.values[0]) not in tags:
            return False
        if target.key.startswith("tag:") and tags.get(target.key.removeprefix("tag:")) not in target.values:
            return False
        if target.key == IDS_KEY:
            return False
    return True


def _group_tag(name: str) -> str:
    return f"rehearsal:group:{name}"


def _excluded(
    campaign: Campaign, members: Iterable[Member], base: tuple[Target, ...], per_location: int
) -> Iterator[Server]:
    """Servers of excluded accounts, which match all the same: that they are left alone can be seen then."""
    tags = next(_options(base, ()))
    for member in members:
        if any(member.within(name, deep=True) for name in campaign.exclude_accounts) and _ids(base) is None:
            for region in campaign.regions:
                server = _server(campaign, _Slot(0, member, region), tags)
                yield from (replace(server, settled=True) for _ in range(per_location))


def _spare(servers: list[Server], exception: PatchException) -> None:
    """Have a server be under the exception: the last that can be, and is not the only one of its kind."""
    tags = next(_options(exception.targets, ()))
    alike = Counter(frozenset(server.tags.items()) for server in servers)
    for number, server in reversed(list(enumerate(servers))):
        fits = not exception.accounts or server.account in exception.accounts
        fits = fits and all(server.tags.get(key, value) == value for key, value in tags.items())
        if fits and alike[frozenset(server.tags.items())] > 1:
            servers[number] = replace(server, tags={**server.tags, **tags})
            return


def _numbered(servers: Iterable[Server]) -> Iterator[Server]:
    """The servers with names of their own within their location."""
    seen: Counter[tuple[str, str]] = Counter()
    for server in servers:
        seen[server.account, server.region] += 1
        yield replace(server, name=f"{server.name}-{seen[server.account, server.region]:02d}")


# --- a fleet from a file ------------------------------------------------------------------------------------------------


def _refuse(code: str, message: str, hint: str) -> PydanticCustomError:
    return PydanticCustomError("patchtide", "{message}", {"code": code, "message": message, "hint": hint})


def _unit(value: object) -> tuple[str, ...]:
    parts = tuple(str(value).split("/"))
    root, below = parts[:1] if parts[0].startswith("r-") else (), parts[1:] if parts[0].startswith("r-") else parts
    right = all(re.fullmatch(r"r-[0-9a-z]{4,32}", one) for one in root)
    if right and all(re.fullmatch(r"ou-[0-9a-z]{4,32}-[a-z0-9]{8,32}", one) for one in below):
        return parts
    raise _refuse("unit", f"{value!r} is not a unit", "Write ou-…, or the units from the top down: ou-…/ou-…")


def _tag(value: object) -> str:
    if isinstance(value, (bool, float)):
        raise _refuse("tag", f"{value!r} is not text", f'Quote it: "{str(value).lower()}"')
    return str(value)


def _id(value: object) -> str:
    if isinstance(value, str) and re.fullmatch(r"i-([0-9a-f]{8}|[0-9a-f]{17})|mi-[0-9a-f]{17}", value):
        return value
    raise _refuse("instance", f"{value!r} is not an instance id", "Write i-… or mi-… with 17 hex digits")


def _behaviour(value: object) -> Behaviour:
    words = [one.value for one in Behaviour]
    if value in words:
        return Behaviour(str(value))
    near = difflib.get_close_matches(str(value), words, 1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Write one of {', '.join(words)}"
    raise _refuse("behaviour", f"{value!r} is not a behaviour", hint)


def _values(value: object) -> object:
    return value if isinstance(value, list) else [value]


Tag = Annotated[str, BeforeValidator(_tag)]
Named = Annotated[Behaviour, BeforeValidator(_behaviour)]
Count = Annotated[int, Field(ge=1, le=10_000)]


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class InstancesDocument(_Part):
    """Alike instances: so many in each Region, or those with these ids."""

    count: Count = 1
    ids: list[Annotated[str, BeforeValidator(_id)]] = []
    tags: dict[str, Tag] = {}
    platform: Literal["Linux", "Windows"] = "Linux"
    regions: Regions | None = None
    behaviours: dict[Named, Count] = {}
    failure_rate: Percent | None = None


class AccountDocument(_Part):
    """An account: where it is, whether the spoke stack was deployed to it, and its instances."""

    id: AccountId
    name: str = ""
    unit: Annotated[tuple[str, ...], BeforeValidator(_unit)] = ()
    regions: Regions | None = None
    onboarded: bool = True
    instances: list[InstancesDocument] = []


class FleetDocument(_Part):
    """A pretend fleet.

    regions: [eu-west-1, eu-west-2]     # where accounts are that say nothing else; without it, the campaign's
    groups: {Web: {Tier: web}}          # resource groups, in every location: what carries all of these tags
    accounts:
      - id: "111122223333"
        name: payments-prod
        unit: ou-ab12-prodprod          # or the units from the top down: ou-ab12-prodprod/ou-ab12-payments
        instances:
          - {count: 6, tags: {PatchGroup: prod, PatchRing: 0}}                     # six in each Region
          - {count: 40, tags: {PatchGroup: prod, PatchRing: 1}, failureRate: 5%}
          - {count: 4, tags: {PatchGroup: prod}, platform: Windows, behaviours: {disk-full: 1}}
      - id: "444455556666"
        onboarded: false                # nobody deployed the spoke stack to it
    """

    accounts: Annotated[list[AccountDocument], Field(min_length=1)]
    regions: Regions | None = None
    groups: dict[str, dict[str, Annotated[list[Tag], BeforeValidator(_values)]]] = {}


_PARTS: Mapping[str, type[_Part]] = {"accounts": AccountDocument, "instances": InstancesDocument}
_ADD = {
    "accounts": "List the accounts, each with id and instances",
    "id": 'Write 12 digits in quotes, e.g. "111122223333"',
}


def read_fleet(raw: Mapping[str, object], campaign: Campaign) -> tuple[Fleet | None, tuple[Problem, ...]]:
    """The fleet that a file describes for the campaign, or everything that is wrong with it."""
    try:
        document = FleetDocument.model_validate(dict(raw))
    except ValidationError as error:
        return None, tuple(map(_problem, error.errors()))
    regions = tuple(document.regions or campaign.regions)
    problems = tuple(_together(document, campaign, regions))
    return (None, problems) if problems else (_fleet(document, regions), ())


def _problem(error: Any) -> Problem:
    loc = [part for part in error["loc"] if not str(part).startswith(("list[", "function-", "[key]"))]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".")
    context, value, last = error.get("ctx") or {}, error.get("input"), str(loc[-1])
    if "hint" in context:
        return Problem(path, context["code"], context["message"], context["hint"], value)
    if error["type"] == "missing":
        return Problem(path, "missing", "is required", _ADD.get(last, "Add it"))
    if error["type"] == "extra_forbidden":
        return Problem(path, "unknown", f"is not a field here, it says {value!r}", _meant(last, loc), value)
    return Problem(
        path, error["type"].replace("_", "-"), f"{value!r} is not allowed", _fix(error["type"], context, loc), value
    )


def _fix(kind: str, context: Mapping[str, Any], loc: Sequence[int | str]) -> str:
    """What to write instead, where pydantic's own words would not say."""
    if kind == "literal_error":
        return f"Write {context['expected']}"
    if kind == "model_type":
        return f"Write fields with their values: {', '.join(_fields_of(loc))}"
    return _FIXES.get(kind, "Write a whole number from 1 to 10000")


_FIXES = {
    "bool_parsing": "Write true or false",
    "bool_type": "Write true or false",
    "dict_type": "Write names with values, e.g. {PatchGroup: prod}",
    "list_type": "Write a list, an entry a line, each after a dash",
    "string_type": "Write text",
    "too_short": "List at least one",
}


def _meant(key: str, loc: Sequence[int | str]) -> str:
    known = _fields_of(loc[:-1])
    near = difflib.get_close_matches(key, known, 1, cutoff=0.7)
    return f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(known)}"


def _fields_of(loc: Sequence[int | str]) -> list[str]:
    """The fields of the part of the file that is meant."""
    part = next((_PARTS[str(one)] for one in reversed(loc) if one in _PARTS), FleetDocument)
    return [to_camel(name) for name in part.model_fields]


def _together(document: FleetDocument, campaign: Campaign, regions: tuple[str, ...]) -> Iterator[Problem]:
    """What two fields of the file say together, or the file and the campaign."""
    seen: set[str] = set()
    roots = {one.unit[0] for one in document.accounts if one.unit[:1] and one.unit[0].startswith("r-")}
    for number, account in enumerate(document.accounts):
        path = f"accounts[{number}]"
        if account.id in seen:
            yield Problem(f"{path}.id", "twice", f"{account.id!r} is given twice", "Keep one of the two", account.id)
        seen.add(account.id)
        if len(roots) > 1 and account.unit[0] in roots:
            message = f"{account.unit[0]!r} is one of {len(roots)} roots"
            yield Problem(f"{path}.unit", "roots", message, "An organization has one root", account.unit[0])
        for place, group in enumerate(account.instances):
            yield from _of_group(group, tuple(account.regions or regions), f"{path}.instances[{place}]", seen)
    for wave in campaign.waves:
        for target in wave.targets:
            if target.key == GROUP_KEY and target.values[0] not in document.groups:
                message = f"has no {target.values[0]!r}, which the campaign targets"
                yield Problem("groups", "missing", message, f"Add it: groups: {{{target.values[0]}: {{Tag: value}}}}")


def _of_group(group: InstancesDocument, regions: tuple[str, ...], path: str, seen: set[str]) -> Iterator[Problem]:
    for region in group.regions or ():
        if region not in regions:
            message = f"{region!r} is not one of the account's, {', '.join(regions)}"
            yield Problem(f"{path}.regions", "region", message, "Add it to the account's regions", region)
    if group.ids and len(group.regions or regions) > 1:
        hint = f"Say in which Region they are: regions: [{(group.regions or regions)[0]}]"
        yield Problem(f"{path}.ids", "region", f"{group.ids[0]!r} cannot be in several Regions", hint, group.ids[0])
    for id_ in group.ids:
        if id_ in seen:
            yield Problem(f"{path}.ids", "twice", f"{id_!r} is given twice", "Keep one of the two", id_)
        seen.add(id_)
    size, said = len(group.ids) or group.count, sum(group.behaviours.values())
    if said > size:
        hint = f"Raise count to {said}, or give fewer"
        yield Problem(f"{path}.behaviours", "range", f"{said} behave in some way, count is {size}", hint, said)


def _fleet(document: FleetDocument, regions: tuple[str, ...]) -> Fleet:
    members, servers, entries = [], list[Server](), 0
    for account in document.accounts:
        own = tuple(account.regions or regions)
        path = tuple(one for one in account.unit if one.startswith("ou-"))
        member = Member(account.id, account.name or f"account-{account.id[-4:]}", path, own, account.onboarded)
        members.append(member)
        for group in account.instances:
            entries += 1
            servers += _alike(group, member, tuple(group.regions or own), entries)
    roots = [one.unit[0] for one in document.accounts if one.unit[:1] and one.unit[0].startswith("r-")]
    groups = {name: {key: tuple(values) for key, values in tags.items()} for name, tags in document.groups.items()}
    return Fleet(tuple(members), tuple(_numbered(servers)), groups, roots[0] if roots else "")


def _alike(group: InstancesDocument, member: Member, regions: tuple[str, ...], entry: int) -> Iterator[Server]:
    chosen = [one for one, count in group.behaviours.items() for _ in range(count)]
    rate = None if group.failure_rate is None else (entry, group.failure_rate)
    for region in regions:
        for number, id_ in enumerate(group.ids or [""] * group.count):
            settled = number < len(chosen)
            behaviour = chosen[number] if settled else Behaviour.HEALTHY
            platform = ONLY.get(behaviour, group.platform)
            yield Server(member.id, region, member.name, group.tags, platform, behaviour, id_, settled, rate)
