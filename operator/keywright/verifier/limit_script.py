"""What the store of shared limits is asked to do: one script over all buckets of a request, all or nothing.

The time is the store's own. Two verifiers whose clocks differ so share a limit exactly, and none of them can
refill it by a clock that is ahead.

A bucket is kept as "since:used": `used` requests, each worth period/requests, since that microsecond. This
is GCRA's theoretical arrival time (since + used * period/requests) without its fraction: with one float, a
thousand requests of a third of a second each would add up to a little too much, and the last one of a burst
would be denied. All that is compared is multiplied by `requests`, and so whole. A bucket that is full again
is the same as none: it expires at that moment.

Requests that arrive together go in one call, one after the other in the order in which they came: what a
call costs is mostly its way there and back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# ARGV[1] says how many keys each request has, "2 1 2"; then comes "requests period burst" of each key.
# The answer has a line for each request: the bucket that denies it, or 0, and three numbers for each key.
LUA = """
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local known, changed = {}, {}

local function bucket(i)
  local name = KEYS[i]
  if known[name] then return known[name] end
  local requests, period, burst = string.match(ARGV[i + 1], '^(%d+) (%d+) (%d+)$')
  local one = {requests = tonumber(requests), period = tonumber(period), since = now, used = 0, level = 0}
  one.room = tonumber(burst) * one.period
  local since, used = string.match(redis.call('GET', name) or '', '^(%d+):(%d+)$')
  if since then
    one.since, one.used = tonumber(since), tonumber(used)
    one.level = (one.since - now) * one.requests + one.used * one.period
  end
  if one.level <= 0 then
    one.since, one.used, one.level = now, 0, 0
  elseif one.level > one.room then
    -- The clock went back: an empty bucket fills up from now on, like any other.
    one.since, one.used, one.level = now, tonumber(burst), one.room
    changed[name] = one
  end
  known[name] = one
  return one
end

local function charge(name, one)
  one.used, one.level = one.used + 1, one.level + one.period
  if one.used >= one.requests then
    -- So that both numbers stay small and whole, however long the bucket is never full.
    local periods = math.floor(one.used / one.requests)
    one.since, one.used = one.since + periods * one.period, one.used - periods * one.requests
  end
  changed[name] = one
end

local answer, first = {}, 1
for size in string.gmatch(ARGV[1], '%d+') do
  local last, denied = first + tonumber(size) - 1, 0
  for i = first, last do
    local one = bucket(i)
    if denied == 0 and one.level + one.period > one.room then denied = i - first + 1 end
  end
  local line = {denied}
  for i = first, last do
    local one = bucket(i)
    if denied == 0 then charge(KEYS[i], one) end
    local missing = math.max(0, one.level + one.period - one.room)
    line[#line + 1] = string.format('%d %d %d', math.floor((one.room - one.level) / one.period),
      math.ceil(one.level / one.requests), math.ceil(missing / one.requests))
  end
  answer[#answer + 1] = table.concat(line, ' ')
  first = last + 1
end

for name, one in pairs(changed) do
  local expires = math.ceil(one.level / one.requests / 1000) + 1
  redis.call('SET', name, string.format('%d:%d', one.since, one.used), 'PX', string.format('%d', expires))
end
return table.concat(answer, '\\n')
"""

MICROSECONDS = 1_000_000


class Bucket(NamedTuple):
    """One bucket as the store knows it; made once, when the limit is, and sent as it is."""

    name: bytes
    rule: bytes

    @classmethod
    def of(cls, name: str, *, requests: int, period: float, burst: int) -> Bucket:
        """Return the bucket of a limit; `period` is in seconds."""
        return cls(name.encode(), b"%d %d %d" % (requests, round(period * MICROSECONDS), burst))


class Level(NamedTuple):
    """What is left of one bucket after a request, or without it where that was denied."""

    remaining: int
    full_in: float
    """Seconds until all of it is back."""
    retry_in: float
    """Seconds until the next request fits; 0 where it does now."""


class Answer(NamedTuple):
    """What the store says of a request."""

    denied_by: int | None
    """The first bucket that has no room; None: the request is allowed, and charged to all."""
    levels: tuple[Level, ...]


def arguments(requests: Sequence[Sequence[Bucket]]) -> tuple[bytes | int, ...]:
    """Return what follows the script in EVALSHA, for the buckets of several requests."""
    buckets = [bucket for request in requests for bucket in request]
    sizes = " ".join([str(len(request)) for request in requests])
    return (len(buckets), *[one.name for one in buckets], sizes.encode(), *[one.rule for one in buckets])


def parse(answer: bytes) -> Iterable[Answer]:
    """Read what the script returns: one answer for each request."""
    for line in answer.split(b"\n"):
        denied, *numbers = map(int, line.split())
        parts = zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True)
        levels = tuple(Level(left, full / MICROSECONDS, retry / MICROSECONDS) for left, full, retry in parts)
        yield Answer(denied - 1 if denied else None, levels)
