"""What must hold of every write and every state, written down from the contract and not from the code.

The ledger watches a `Store`, keeps its own record of what was minted, why, and when it may end, and raises
AssertionError with the number of the invariant (see the design's list) that a write breaks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from keywright.api.apikey import ApiKeyStatus
from keywright.keys.actions import DeleteSecret, RemoveFinalizer, RestartWorkload, WriteSecret, WriteStatus
from world import SECRET_TYPE, UID, digest, value_of

if TYPE_CHECKING:
    from world import Change, Json, Store

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LENGTHS = {
    "0s": timedelta(),
    "30s": timedelta(seconds=30),
    "3m": 3 * MINUTE,
    "5m": 5 * MINUTE,
    "10m": 10 * MINUTE,
    "60m": 60 * MINUTE,
    "90m": 90 * MINUTE,
    "24h": DAY,
}
CRON = "*/10 * * * *"
ENDS = {"Retired", "Expired", "Revoked"}
MOVES = {
    ("Pending", "Active"),
    ("Pending", "Revoked"),
    ("Pending", "Expired"),  # activated long after its reveal
    ("Active", "Retiring"),
    ("Active", "Retired"),
    ("Active", "Expired"),
    ("Active", "Revoked"),
    ("Retiring", "Retired"),
    ("Retiring", "Expired"),
    ("Retiring", "Revoked"),
}
TOKEN_ANNOTATIONS = ("keywright.dev/rotate", "keywright.dev/regenerate")


def time_of(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def well_formed(token: str) -> bool:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:+-"
    return 1 <= len(token) <= 64 and all(letter in letters for letter in token)


def require(holds: object, invariant: str, *about: Any) -> None:
    if not holds:
        raise AssertionError(f"{invariant}: {about}")


@dataclass(frozen=True)
class Policy:
    """What applies to an ApiKey by its spec and its Project's, worked out afresh."""

    spec: Json
    project: Json

    @property
    def maximum(self) -> timedelta | None:
        text = self.project.get("limits", {}).get("maxExpiresAfter")
        return LENGTHS[text] if text else None

    @property
    def lifetime(self) -> timedelta | None:
        text = self.spec.get("expiresAfter", self.project.get("defaults", {}).get("expiresAfter"))
        chosen = LENGTHS[text] if text else timedelta()
        return min((length for length in (chosen, self.maximum) if length), default=None)

    @property
    def rotation(self) -> Json:
        given = self.given_rotation
        if given is not None:
            return given
        return {"policy": "Never"} if self.lifetime is None else {"third": self.lifetime / 3}

    @property
    def given_rotation(self) -> Json | None:
        given: Json | None = self.spec.get("rotation", self.project.get("defaults", {}).get("rotation"))
        return given

    @property
    def before_expiry(self) -> timedelta | None:
        if "third" in self.rotation:
            third: timedelta = self.rotation["third"]
            return third
        text = self.rotation.get("beforeExpiry")
        return LENGTHS[text] if text else None

    @property
    def invalid(self) -> bool:
        given = self.given_rotation or {}
        if "interval" in given:
            return self.lifetime is not None and LENGTHS[given["interval"]] >= self.lifetime
        if "beforeExpiry" in given:
            ten = timedelta(seconds=10)
            return self.lifetime is None or LENGTHS[given["beforeExpiry"]] + ten > self.lifetime
        return given.get("schedule") == "never"

    def overlap(self, since: datetime) -> timedelta:
        rotation = self.rotation
        if "overlap" in rotation:
            return LENGTHS[rotation["overlap"]]
        if "interval" in rotation:
            return min(DAY, LENGTHS[rotation["interval"]])
        if rotation.get("schedule") == CRON:
            return next_ten_minutes(since) - since
        if self.before_expiry is not None and self.lifetime is not None:
            return max(min(DAY, self.lifetime - self.before_expiry), timedelta())
        return DAY

    def expiry(self, generation: Json) -> datetime:
        created = time_of(generation["createdAt"])
        ends = [datetime.max.replace(tzinfo=UTC)]
        if "expiresAt" in generation:
            ends.append(time_of(generation["expiresAt"]))
        if "expiresAt" in self.spec:
            ends.append(time_of(self.spec["expiresAt"]))
        if self.maximum is not None:
            ends.append(created + self.maximum)
        return min(ends)

    def end(self, generation: Json) -> datetime:
        expiry = self.expiry(generation)
        return min(expiry, time_of(generation["retiresAt"])) if generation["state"] == "Retiring" else expiry

    def valid(self, generation: Json, now: datetime) -> bool:
        return generation["state"] not in ENDS and now < self.end(generation)

    def rotation_due(self, current: Json, now: datetime) -> bool:
        """Whether, at the latest, the schedule wants another one now (jitter and cron edits aside)."""
        created, rotation = time_of(current["createdAt"]), self.rotation
        if now < created + timedelta(seconds=10):
            return False
        if "interval" in rotation:
            return now >= created + LENGTHS[rotation["interval"]]
        if rotation.get("schedule") == CRON:
            return now >= next_ten_minutes(created + timedelta(seconds=10))
        return False

    def rotation_possible(self, current: Json, now: datetime) -> bool:
        """Whether, at the earliest, the schedule may want another one now."""
        created, rotation = time_of(current["createdAt"]), self.rotation
        if now < created + timedelta(seconds=10):
            return False
        if "interval" in rotation:
            return now >= created + 0.95 * LENGTHS[rotation["interval"]] - timedelta(seconds=1)
        if rotation.get("schedule") == CRON:
            return now >= next_ten_minutes(created)
        if self.before_expiry is not None:
            return now >= self.expiry(current) - self.before_expiry - timedelta(seconds=1)
        return False


def next_ten_minutes(moment: datetime) -> datetime:
    whole = moment.replace(minute=moment.minute // 10 * 10, second=0, microsecond=0)
    return whole + 10 * MINUTE


@dataclass
class Ledger:
    """The independent record of one run."""

    store: Store
    tampered: bool = False  # with the Secret, since the operator last wrote it
    losable: bool = False  # something has happened that can cost the current value
    wiped: bool = False
    restarts_before_wipe: int = 0  # after it revisions count from 1 again
    moved_on: bool = False  # spec.expiresAt or the Project's maximum was edited
    known: dict[str, Json] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    satisfied: list[str] = field(default_factory=list)
    revealed_at: dict[str, datetime] = field(default_factory=dict)
    shortest: dict[str, timedelta] = field(default_factory=dict)
    earliest_expiry: dict[str, datetime] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    last_project: Json = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store.watch = self.committed
        self.observe()

    @property
    def policy(self) -> Policy:
        if self.store.project is not None:
            self.last_project = self.store.project["spec"]
        return Policy(self.store.spec, self.last_project)

    def observe(self) -> None:
        """Take in what the environment has just changed."""
        if self.store.api_key is None:
            return
        policy = self.policy
        for generation in self.store.keys:
            key_id = generation["id"]
            self.earliest_expiry[key_id] = min(
                policy.expiry(generation), self.earliest_expiry.get(key_id, policy.expiry(generation))
            )
            if generation["state"] == "Retiring" and time_of(generation["retiresAt"]) > self.store.now:
                since = time_of(generation["retiringSince"])
                length = policy.overlap(since)
                self.shortest[key_id] = min(length, self.shortest.get(key_id, length))

    def wipe(self) -> None:
        self.wiped = self.losable = True
        self.restarts_before_wipe = len(self.store.restarts)
        self.known, self.satisfied, self.revealed_at, self.shortest = {}, [], {}, {}
        self.gone = set()

    def committed(self, change: Change) -> None:
        action = change.request.action
        if isinstance(action, WriteStatus):
            self._status(change, action)
        elif isinstance(action, WriteSecret):
            self._secret(change, action)
        elif isinstance(action, DeleteSecret):
            self._secret_gone(change)
        elif isinstance(action, RemoveFinalizer) and change.api_key is None:
            self._api_key_gone(change)
        elif isinstance(action, RestartWorkload):
            self._restarts()
        self.observe()

    # The status.

    def _status(self, change: Change, action: WriteStatus) -> None:
        assert change.api_key is not None
        assert change.api_key_before is not None
        old, new = change.api_key_before.get("status", {}), change.api_key["status"]
        ApiKeyStatus.model_validate(new)
        before = {generation["id"]: generation for generation in old.get("keys", [])}
        keys = new.get("keys", [])
        planned = change.request.sent_at
        deleting = "deletionTimestamp" in change.api_key["metadata"]
        self._shape(new, keys, planned, dead_at_most=3 if not deleting else 16)
        require(new.get("revision", 0) >= old.get("revision", 0), "I14 revision", old, new)
        self._identity(keys)
        for generation in keys:
            was = before.get(generation["id"])
            if was is None:
                self._appeared(change, generation, old, action)
            else:
                self._moved(change, was, generation)
        for generation in before.values():
            if generation["id"] not in {g["id"] for g in keys}:
                self._dropped(change, generation, keys, before)
        self._tokens(old, new)
        self._used(old, new, before, planned)
        self._ready(change, new, keys)

    def _used(self, old: Json, new: Json, before: dict[str, Json], planned: datetime) -> None:
        """A use is never taken back, nor told of a key that had ended, nor in the future."""
        for was, told in ((old, new), *((before.get(key["id"], {}), key) for key in new.get("keys", []))):
            last, now = was.get("lastUsedAt"), told.get("lastUsedAt")
            require(
                last is None or (now is not None and time_of(now) >= time_of(last)), "used back", was, told
            )
            require(now is None or time_of(now) <= planned, "used in the future", told)
            require(now == last or was.get("state") not in ENDS, "used after its end", was, told)

    def _shape(self, new: Json, keys: list[Json], planned: datetime, *, dead_at_most: int) -> None:
        policy = self.policy
        require([g["state"] for g in keys].count("Active") <= 1, "I2", keys)
        valid = [g for g in keys if policy.valid(g, planned)]
        dead = [g for g in keys if g["state"] != "Pending" and not policy.valid(g, planned)]
        require(len(valid) <= 5, "I25 valid", valid)
        if self.store.project is not None:
            require(len(dead) <= dead_at_most, "I25 dead", dead)
        require(sum(g["state"] == "Pending" for g in keys) <= 3, "I25 pending", keys)
        require(len(new.get("handledTokens", [])) <= 16, "I25 tokens", new)
        require(len({g["id"] for g in keys}) == len(keys), "one entry an id", keys)
        require(len({g["digest"] for g in keys}) == len(keys), "I20", keys)

    def _identity(self, keys: list[Json]) -> None:
        for generation in keys:
            fixed = {name: generation.get(name) for name in ("digest", "createdAt", "expiresAt", "hint")}
            known = self.known.setdefault(generation["id"], fixed)
            require(known == fixed, "I16 a generation never changes", known, fixed)
            require(generation["id"] not in self.gone, "what is gone does not come back", generation)

    def _appeared(self, change: Change, generation: Json, old: Json, action: WriteStatus) -> None:
        if generation["cause"] == "Adopted":
            require(self.wiped and not old.get("revision"), "I19 adopted", generation)
            require(digest(value_of(change.secret)) == generation["digest"] or self.tampered, "I5 adopted")
            valid = self.policy.valid(generation, change.request.sent_at)
            require(valid or self.store.project is None, "I21 adopted", generation)
            self.wiped = False
            return
        require(generation["state"] == "Pending", "publish first", generation)
        require(action.publishes is not None and action.publishes.id == generation["id"], "publish", action)
        stamps = {g["id"] for g in change.api_key["status"]["keys"]} if change.api_key else set()
        require(len(stamps - {g["id"] for g in old.get("keys", [])}) == 1, "one at a time", old)
        if not change.late:
            self._why(generation, old, change.request.sent_at)

    def _why(self, generation: Json, old: Json, planned: datetime) -> None:
        """I19: the cause that is recorded is one that holds, and nothing forbids the mint."""
        store, policy = self.store, self.policy
        require(not store.spec.get("suspend"), "minted while suspended")
        require(store.project is not None, "minted without a Project")
        require(not policy.project.get("suspend"), "minted while the Project is suspended")
        require(store.revoked_whole is None, "minted though revoked")
        require(store.api_key and "deletionTimestamp" not in store.api_key["metadata"], "minted late")
        if "expiresAt" in store.spec:
            require(planned < time_of(store.spec["expiresAt"]), "I21 minted after expiresAt")
        created = time_of(generation["createdAt"])
        if policy.lifetime is None:
            require("expiresAt" not in generation, "stamp", generation)
        else:
            require(time_of(generation["expiresAt"]) == created + policy.lifetime, "stamp", generation)
        cause, keys = generation["cause"], old.get("keys", [])
        current = next(
            (g for g in keys if g["state"] == "Active"),
            next((g for g in keys if g["state"] != "Pending"), None),
        )
        if cause == "First":
            require(not old.get("revision"), "I19 First", old)
            return
        require(old.get("revision") and current is not None, "I19 needs one before", generation)
        assert current is not None
        revoked = current["id"] in store.revoked or current["id"] in store.records
        if cause == "Revoked":
            # Or one that was revealed and revoked before its activation, of which nothing else is left.
            newer = keys[: keys.index(current)]
            revoked = revoked or any(g["state"] == "Revoked" or g["id"] in store.revoked for g in newer)
            require(revoked or current["state"] == "Revoked", "I19 Revoked", current)
        elif cause == "SecretLost":
            require(self.losable, "I19 SecretLost", current)
            require(current["state"] == "Active", "I19 SecretLost", current)
        elif cause == "Requested":
            handled = set(old.get("handledTokens", []))
            asked = self._asked(old) - handled
            tokens = set(generation["tokens"])
            require(tokens and tokens <= asked, "I19 Requested", generation, asked)
        else:
            shown = next((c["reason"] for c in old["conditions"] if c["type"] == "Ready"), "")
            ended = self.moved_on and "Expired" in {current["state"], shown}
            # While the spec has no meaning, what applied last goes on: the ledger does not know it.
            possible = policy.invalid or policy.rotation_possible(current, planned)
            require(ended or possible, "I19 Scheduled", current, planned, store.spec, policy.project)
        if generation.get("regenerate"):
            waiting = any(g.get("regenerate") for g in keys if g["state"] == "Pending")
            assert store.api_key is not None
            token = store.api_key["metadata"]["annotations"].get(TOKEN_ANNOTATIONS[1], "")
            unhandled = well_formed(token) and token not in old.get("handledTokens", [])
            require(waiting or unhandled, "I19 regenerate", generation)

    def _asked(self, old: Json) -> set[str]:
        assert self.store.api_key is not None
        annotations = self.store.api_key["metadata"]["annotations"]
        present = {annotations.get(name, "") for name in TOKEN_ANNOTATIONS}
        waiting = {t for g in old.get("keys", []) if g["state"] == "Pending" for t in g.get("tokens", [])}
        return {token for token in present | waiting if well_formed(token)}

    def _moved(self, change: Change, was: Json, generation: Json) -> None:
        """Check one generation that was there before."""
        pair = was["state"], generation["state"]
        require(pair[0] == pair[1] or pair in MOVES, "states only go on", was, generation)
        planned = change.request.sent_at
        if pair in {("Pending", "Active"), ("Pending", "Expired")}:
            self._activated(change, was, generation)
        if pair[0] == "Active" and pair[1] in {"Retiring", "Retired"}:
            self._retired(change, was, generation)
        if pair == ("Retiring", "Retired"):
            emergency = time_of(generation["retiresAt"]) <= planned + timedelta(seconds=1)
            over = planned >= time_of(was["retiresAt"]) + timedelta(seconds=60)
            require(over or (emergency and self._emergency(change)), "I22 retired early", was, generation)
        if generation["state"] == "Expired" and was["state"] != "Expired":
            over = planned >= self.earliest_expiry[was["id"]]
            require(over, "expired early", was, generation)
        if was["state"] == "Retiring" == generation["state"] and was["retiresAt"] != generation["retiresAt"]:
            until = time_of(generation["retiresAt"])
            require(until >= planned, "never before now", was, generation, planned)
            require(time_of(was["retiresAt"]) > planned, "I6 an end once passed never moves", was, generation)
            self._long_enough(was["id"], until)

    def _emergency(self, change: Change) -> bool:
        assert change.api_key_before is not None
        action = change.request.action
        assert isinstance(action, WriteStatus)
        policy = self.policy
        valid = [
            g
            for g in change.api_key_before["status"]["keys"]
            if policy.valid(g, change.request.sent_at - timedelta(seconds=1))
        ]
        return action.publishes is not None and len(valid) >= 5

    def _retired(self, change: Change, was: Json, generation: Json) -> None:
        """I22: what its successor ended lives on for the overlap, or to its own end."""
        planned = change.request.sent_at
        self.revealed_at[was["id"]] = planned
        overlap = self.policy.overlap(planned)
        self.shortest[was["id"]] = min(overlap, self.shortest.get(was["id"], overlap))
        require(time_of(generation["retiringSince"]) >= planned, "I22 since", generation)
        self._long_enough(was["id"], time_of(generation["retiresAt"]))
        latest = planned + overlap + timedelta(seconds=2)
        if self.store.project is not None and not self.policy.invalid and not change.late:
            require(time_of(generation["retiresAt"]) <= latest, "I22 no longer than", generation, overlap)

    def _long_enough(self, key_id: str, until: datetime) -> None:
        since = self.revealed_at.get(key_id)
        if since is None:
            return
        least = min(since + self.shortest[key_id], self.earliest_expiry[key_id]) - timedelta(seconds=1)
        require(until >= least, "I22 too early", key_id, until, least)

    def _activated(self, change: Change, was: Json, generation: Json) -> None:
        assert change.api_key_before is not None
        old = change.api_key_before["status"]
        if not self.tampered:
            require(digest(value_of(change.secret)) == was["digest"], "I5 activated unrevealed", was)
        require(generation["revision"] == old.get("revision", 0) + 1, "I14", generation)
        revoked = was["id"] in self.store.revoked and not change.late
        require(not revoked, "I7 activated though revoked", was)
        cause = was["cause"]
        if cause == "SecretLost":
            require(self.losable, "I19 one value for one loss", was)
        handled = old.get("handledTokens", [])
        new_tokens = [token for token in was.get("tokens", []) if token not in handled]
        if cause == "Requested":
            require(new_tokens or not was.get("tokens"), "I19 a token acts once", was, handled)
        for token in new_tokens:
            require(token not in self.satisfied, "I19 a token acts once", token, self.satisfied)
        self.wiped = False
        intact = owned(change.secret) and replaceable(change.secret)
        self.losable = not intact or digest(value_of(change.secret)) != was["digest"]

    def _dropped(self, change: Change, generation: Json, keys: list[Json], before: dict[str, Json]) -> None:
        self.gone.add(generation["id"])
        planned = change.request.sent_at
        if generation["state"] != "Pending":
            ended = generation["state"] in ENDS or not self.policy.valid(generation, planned)
            revoked = generation["id"] in self.store.revoked or generation["id"] in self.store.records
            revoked = revoked or self.store.revoked_whole is not None
            require(ended or revoked or self.store.project is None, "I4 dropped while valid", generation)
            return
        order = list(before)
        successors = [
            g["id"] for g in keys if g["state"] == "Active" and before.get(g["id"], {})["state"] == "Pending"
        ]
        fenced = any(order.index(key_id) < order.index(generation["id"]) for key_id in successors)
        old_enough = planned >= time_of(generation["createdAt"]) + timedelta(seconds=120)
        require(fenced or old_enough or generation["id"] in self.refused, "Pending pruned", generation)
        if not fenced:
            require(
                digest(value_of(change.secret)) != generation["digest"] or self.tampered,
                "I5 Pending pruned though revealed",
                generation,
            )

    def _tokens(self, old: Json, new: Json) -> None:
        added = [t for t in new.get("handledTokens", []) if t not in old.get("handledTokens", [])]
        kept = {g["id"] for g in new.get("keys", []) if g["state"] == "Pending"}
        done = [g for g in old.get("keys", []) if g["state"] == "Pending" and g["id"] not in kept]
        adopted = any(g["cause"] == "Adopted" for g in new.get("keys", []))
        for token in added:
            require(adopted or any(token in g.get("tokens", []) for g in done), "I19 token swallowed", token)
        self.satisfied += added
        for generation in done:
            if not generation.get("tokens"):
                continue
            remembered = {t for g in new.get("keys", []) for t in g.get("tokens", [])}
            remembered |= set(new.get("handledTokens", [])) | self._asked(new)
            latched = any(g["id"] == generation["id"] for g in new.get("keys", []))
            require(latched or remembered >= set(generation["tokens"]), "I19 request lost", generation)

    def _ready(self, change: Change, new: Json, keys: list[Json]) -> None:
        for condition in new["conditions"]:
            require("observedGeneration" in condition, "observedGeneration", condition)
        kinds = {c["type"] for c in new["conditions"]}
        require("Ready" in kinds, "conditions", kinds)
        require(not {"Reconciling", "Stalled"} <= kinds, "one of Reconciling and Stalled", kinds)
        ready = next(c for c in new["conditions"] if c["type"] == "Ready")
        require((ready["status"] == "True") == (ready["reason"] == "Active"), "Ready", ready)
        if ready["status"] != "True" or change.late:
            return
        planned = change.request.sent_at
        active = [g for g in keys if g["state"] == "Active" and self.policy.valid(g, planned)]
        require(len(active) == 1, "I17 Ready without a valid key", keys)
        carries = digest(value_of(change.secret)) == active[0]["digest"]
        known_pending = [g["digest"] for g in keys if g["state"] == "Pending"]
        revealed = digest(value_of(change.secret)) in known_pending
        require(carries or revealed or self.tampered, "I17 Ready without the value", keys)
        expiry = self.policy.expiry(active[0])
        if expiry.year < 9999:
            require(
                abs(time_of(new["expiresAt"]) - expiry) <= timedelta(seconds=1), "I21 expiresAt", new, expiry
            )
        else:
            require("expiresAt" not in new, "I21 expiresAt", new)

    # The Secret.

    def _secret(self, change: Change, action: WriteSecret) -> None:
        assert change.api_key is not None
        before, after = change.secret_before, change.secret
        assert after is not None
        require(before is None or owned(before), "I10 a foreign Secret was written", before)
        require(owned(after), "an owned Secret", after)
        keys = {g["digest"]: g for g in change.api_key.get("status", {}).get("keys", [])}
        new, old = digest(value_of(after)), digest(value_of(before))
        generation = keys.get(new or "")
        if before is None and self.tampered:
            # A create has no precondition but the absence: where somebody deleted the Secret that a later
            # one had made, an older create may land in its place. It counts as a loss, and is answered.
            self.losable = True
            return
        require(generation is not None, "I5 a dead key was revealed", new, change.late)
        assert generation is not None
        if action.reveals is None:
            require(new == old, "I16 a mend changed the value", action)
        else:
            require(generation["id"] == action.reveals, "reveal", action)
            # Active: it was activated meanwhile, and this write only undoes a change by hand.
            revoked = generation["state"] == "Revoked" and generation["id"] in self.store.revoked
            alive = generation["state"] in {"Pending", "Active"}
            require(alive or revoked, "I5 revealed what has ended", generation)
        replaced = keys.get(old or "")
        if replaced is not None and new != old and not self.tampered:
            lost = replaced["state"] == "Pending" and replaced["id"] not in self.store.revoked
            require(not lost, "I4 a revealed value was written over", replaced)
        if before is not None:
            for name, content in before["data"].items():
                if name.startswith("theirs"):
                    require(after["data"].get(name) == content, "I10 unlisted entries stay", name)
        self.tampered = False

    def _secret_gone(self, change: Change) -> None:
        before = change.secret_before
        if before is None:
            return
        require(owned(before), "I10 a foreign Secret was deleted", before)
        deleting = change.api_key is not None and "deletionTimestamp" in change.api_key["metadata"]
        stuck = before.get("immutable") or before["type"] != SECRET_TYPE
        require(deleting or stuck, "I4 the Secret was deleted", before)

    def _api_key_gone(self, change: Change) -> None:
        assert change.api_key_before is not None
        policy = Policy(change.api_key_before["spec"], self.last_project)
        for generation in change.api_key_before.get("status", {}).get("keys", []):
            if policy.valid(generation, change.request.sent_at):
                known = generation["id"] in self.store.records or generation["id"] in self.store.revoked
                require(known or self.store.revoked_whole, "I7 gone without record", generation)
        require(change.secret is None or not owned(change.secret) or self.tampered, "I3 the Secret stays")

    # The workloads.

    def _restarts(self) -> None:
        for workload in self.store.workloads:
            values = [value for restarted, value in self.store.restarts if restarted == workload]
            require(len(values) == len(set(values)), "restarted twice for one generation", values)
            since = self.store.restarts[self.restarts_before_wipe :]
            revisions = [int(value.partition(".")[0]) for restarted, value in since if restarted == workload]
            require(self.wiped or revisions == sorted(revisions), "restarted for an older one", values)

    # Every state.

    def check(self) -> None:
        """I4 and I5, as far as nobody but the operator has touched the Secret."""
        store = self.store
        if store.api_key is None or self.tampered or self.wiped:
            return
        keys, value = {g["digest"]: g for g in store.keys}, digest(store.value())
        if value is not None and owned(store.secret):
            generation = keys.get(value)
            if generation is not None:
                require(generation["state"] not in {"Retiring", "Retired"}, "I5 what is held retires", keys)
            else:
                require(not store.status, "I5 what the Secret holds is in no status", value, keys)
        for generation in store.keys:
            if generation["state"] == "Active" and self.policy.valid(generation, store.now):
                holder = keys.get(value or "", {})
                succeeded = holder.get("state") in {"Pending", "Revoked"}
                deleting = "deletionTimestamp" in store.api_key["metadata"]
                require(
                    value == generation["digest"] or succeeded or deleting or self.losable,
                    "I4 the current value is nowhere",
                    generation,
                )


def owned(secret: Json | None) -> bool:
    return bool(secret) and any(
        ref["uid"] == UID for ref in (secret or {})["metadata"].get("ownerReferences", [])
    )


def replaceable(secret: Json | None) -> bool:
    return secret is not None and secret["type"] == SECRET_TYPE and not secret.get("immutable")
