"""What the store of shared limits is asked to do: one script over all buckets of a request, all or nothing.

The time is the store's own. Two verifiers whose clocks differ so share a limit exactly, and none of them can
refill it by a clock that is ahead.

A bucket is kept as "since:used": `used` requests, none of which had come back at that microsecond, and from
then on `requests` of them come back in each `period`. Lua has floats only: as one number, a moment at which
the bucket is full again, a thousand thirds of a second would add up to a little too much, and the last
request of a burst would be denied. Both numbers of the pair stay whole, and small. A bucket that is full
again is the same as none: it expires at that moment.

Requests that arrive together go in one call, one after the other in the order in which they came: what a
call costs is mostly its way there and back.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from keywright.decision.limits import Standing, Taken

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from keywright.decision.limits import Bucket, Rule

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
  local one = {requests = tonumber(requests), period = tonumber(period), burst = tonumber(burst)}
  local since, used = string.match(redis.call('GET', name) or '', '^(%d+):(%d+)$')
  one.since, one.used = tonumber(since) or now, tonumber(used) or 0
  if one.since > now then
    -- The clock went back: what is used comes back from now on, and not only once it has caught up.
    one.since = now
    changed[name] = one
  end
  local periods = math.floor(math.min((now - one.since) / one.period, one.used / one.requests))
  one.since, one.used = one.since + periods * one.period, one.used - periods * one.requests
  if one.used * one.period <= (now - one.since) * one.requests then one.since, one.used = now, 0 end
  known[name] = one
  return one
end

-- Divides before it multiplies where a whole result is wanted of what does not fit into a float.
local function time_of(one, used) return used / one.requests * one.period - (now - one.since) end

local answer, first = {}, 1
for size in string.gmatch(ARGV[1], '%d+') do
  local last, denied = first + tonumber(size) - 1, 0
  for i = first, last do
    local one = bucket(i)
    if denied == 0 and (one.used + 1 - one.burst) * one.period > (now - one.since) * one.requests then
      denied = i - first + 1
    end
  end
  local line = {denied}
  for i = first, last do
    local one = bucket(i)
    if denied == 0 then
      one.used = one.used + 1
      changed[KEYS[i]] = one
    end
    local back = math.floor((now - one.since) * one.requests / one.period)
    line[#line + 1] = string.format('%d %d %d', math.min(one.burst, one.burst - one.used + back),
      math.ceil(time_of(one, one.used)), math.max(0, math.ceil(time_of(one, one.used + 1 - one.burst))))
  end
  answer[#answer + 1] = table.concat(line, ' ')
  first = last + 1
end

for name, one in pairs(changed) do
  local expires = math.max(0, math.ceil(time_of(one, one.used) / 1000)) + 1
  redis.call('SET', name, string.format('%d:%d', one.since, one.used), 'PX', string.format('%d', expires))
end
return table.concat(answer, '\\n')
"""

_MICROSECONDS = 1_000_000
_PREFIX = b"keywright:limit:"


def arguments(requests: Sequence[Sequence[Bucket]]) -> tuple[int, list[bytes]]:
    """Return the number of keys of several requests' buckets, and the script's keys and arguments."""
    buckets = [bucket for request in requests for bucket in request]
    rules = [_rule(bucket.rule) for bucket in buckets]
    names = [
        b"%b%b:%b" % (_PREFIX, bucket.owner.encode(), rule.replace(b" ", b"/"))
        for bucket, rule in zip(buckets, rules, strict=True)
    ]
    sizes = " ".join([str(len(request)) for request in requests])
    return len(buckets), [*names, sizes.encode(), *rules]


def parse(answer: bytes, requests: Sequence[Sequence[Bucket]], now: float) -> Iterator[Taken]:
    """Read what the script returns: what became of each request; `now` is the time here, in epoch seconds."""
    for line, buckets in zip(answer.split(b"\n"), requests, strict=True):
        denied, *numbers = map(int, line.split())
        parts = zip(buckets, numbers[::3], numbers[1::3], numbers[2::3], strict=True)
        standings = [
            Standing(bucket.rule, left, now + full / _MICROSECONDS, retry / _MICROSECONDS)
            for bucket, left, full, retry in parts
        ]
        yield Taken(not denied, tuple(standings))


@lru_cache(maxsize=1024)
def _rule(rule: Rule) -> bytes:
    return b"%d %d %d" % (rule.requests, round(rule.period * _MICROSECONDS), rule.burst)
