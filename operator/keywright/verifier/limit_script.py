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

from typing import TYPE_CHECKING

from keywright.decision.limits import Taken

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from keywright.decision.limits import Bucket

# ARGV[1] says how many keys each request has, "2 1 2"; then comes "requests period burst" of each key.
# The answer has a line for each request: the bucket that denies it, or 0, and of each key what is used of it
# and for how many microseconds it has been coming back. What is missing of a bucket may be too much for a
# float, so whoever asks works it out.
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
    line[#line + 1] = string.format('%d %d', one.used, now - one.since)
  end
  answer[#answer + 1] = table.concat(line, ' ')
  first = last + 1
end

for name, one in pairs(changed) do
  local microseconds = one.used / one.requests * one.period - (now - one.since)
  local expires = math.max(0, math.ceil(microseconds / 1000)) + 1
  redis.call('SET', name, string.format('%d:%d', one.since, one.used), 'PX', string.format('%d', expires))
end
return table.concat(answer, '\\n')
"""

_PREFIX = b"keywright:limit:"


def arguments(requests: Sequence[Sequence[Bucket]]) -> tuple[int, list[bytes]]:
    """Return the number of keys of several requests' buckets, and the script's keys and arguments."""
    buckets = [bucket for request in requests for bucket in request]
    sizes = " ".join([str(len(request)) for request in requests])
    names = [_PREFIX + bucket.name.encode() for bucket in buckets]
    rules = [b"%d %d %d" % (one.requests, one.cost, one.rule.burst) for one in buckets]
    return len(buckets), [*names, sizes.encode(), *rules]


def parse(answer: bytes, requests: Sequence[Sequence[Bucket]], now: float) -> Iterator[Taken]:
    """Read what the script returns: what became of each request; `now` is the time here, in epoch seconds."""
    for line, buckets in zip(answer.split(b"\n"), requests, strict=True):
        denied, *numbers = map(int, line.split())
        missing = [
            max(0, used * bucket.cost - elapsed * bucket.requests)
            for bucket, used, elapsed in zip(buckets, numbers[::2], numbers[1::2], strict=True)
        ]
        yield Taken(not denied, now, buckets, missing)
