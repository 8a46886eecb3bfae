"""The two scripts of a budget: one reserves a permit, one tells how the call ended.

KEYS of both: state (a hash of numbers), flights (a sorted set: call -> when its slot comes back).
All times are microseconds. The state's clock never goes back: where the server's does, `skew` makes
up for it, so that neither a wait nor a rest is stretched by the jump.

    seen, skew          the latest time; what is added to the server's clock
    tat, patient_tat    when the next permit is due (the theoretical arrival time of GCRA), and the
                        next turn in the queue of the patient
    rate, too_fast      permits a second now, while that is below the ceiling; the rate last refused
    epoch, in_a_row     refusals that counted; those since the last success
    hold_until          nobody calls before then
    limit, left, reset_at, window, told_at
                        the quota by the headers: calls a window, calls left in it, its end, its length
    second, count, before
                        permits of the newest second that has any, and of the second before it
    calls, refused, waited_ms
                        counters; they inform, nothing is decided by them
"""

from __future__ import annotations

BURST_US = 100_000
"""Permits of so much time may be taken at once."""
SHARE_OF_PATIENT = 0.8
SHORT_REST_US = 2_000_000
"""A longer rest is not waited for in place."""
FIRST_REST_US = 2_000_000
LONGEST_DOUBLED_REST_US = 600_000_000
LONGEST_REST_US = 3_600_000_000
LEAST_BLAMED_RATE = 5
"""A refusal at fewer calls a second than these is taken as one at these."""
DECREASE = 0.7
INCREASE = 0.005
"""A second, as a share of the rate that was too fast."""
SPEED_UP = 0.1
"""A second, as a share of the rate, once the one that was too fast is passed again."""
KEPT_MS = 30 * 86_400_000

_BOTH = f"""
local s, changed = {{}}, {{}}
local held = redis.call('HGETALL', KEYS[1])
for i = 1, #held, 2 do s[held[i]] = tonumber(held[i + 1]) end
local function get(name) return s[name] or 0 end
local function text(number) return string.format('%.17g', number) end
local function put(name, value)
  s[name] = value
  changed[#changed + 1] = name
  changed[#changed + 1] = text(value)
end
local function save()
  redis.call('HSET', KEYS[1], unpack(changed))
  redis.call('PEXPIRE', KEYS[1], {KEPT_MS})
end

local now = tonumber(ARGV[1])
if not now then
  local server = redis.call('TIME')
  now = server[1] * 1000000 + server[2]
end
local time = now + get('skew')
if time < get('seen') then
  put('skew', get('skew') + get('seen') - time)
  time = get('seen')
end
put('seen', time)

local ceiling, least, call = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local rate = math.max(math.min(s.rate or ceiling, ceiling), least)
"""

# ARGV: now or '', ceiling, least rate, call, slots, how long a slot is held, patient, has had its turn,
#       longest wait
# -> granted, wait, epoch, why not: turn (wait, then ask again), full, rest, queue (both: the wait is longer)
RESERVE = (
    _BOTH
    + f"""
local slots, held_for = tonumber(ARGV[5]), tonumber(ARGV[6])
local patient, turn, longest = ARGV[7] == '1', ARGV[8] == '1', tonumber(ARGV[9])
local interval = 1000000 / rate

local function answer(granted, wait, why)
  save()
  return {{granted, math.ceil(wait), get('epoch'), why}}
end

local rest = get('hold_until') - time
if rest > {SHORT_REST_US} then return answer(0, rest, 'rest') end

local start = math.max(time, get('hold_until'), get('tat') - {BURST_US})
local quota = get('window') > 0 and time - get('told_at') <= 2 * get('window')
local left, reset_at = get('left'), get('reset_at')
if quota then
  if left < 1 then start = math.max(start, reset_at) end
  if start >= reset_at then
    reset_at = reset_at + (math.floor((start - reset_at) / get('window')) + 1) * get('window')
    left = get('limit')
  end
  interval = math.max(interval, (reset_at - start) / left)
end

if patient and not turn then
  local at = math.max(time, get('patient_tat') - {BURST_US})
  if at - time > longest then return answer(0, at - time, 'queue') end
  put('patient_tat', math.max(get('patient_tat'), at) + interval / {SHARE_OF_PATIENT})
  if at > time then return answer(0, at - time, 'turn') end
end

redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', text(time))
local room = slots
if patient and slots > 1 then room = slots - math.max(1, math.floor(slots / 4)) end
if redis.call('ZCARD', KEYS[2]) >= room and not redis.call('ZSCORE', KEYS[2], call) then
  return answer(0, 0, 'full')
end

if start - time > longest then return answer(0, start - time, 'queue') end
put('tat', math.max(get('tat'), start) + interval)
if quota then
  put('left', left - 1)
  put('reset_at', reset_at)
end
local second = math.floor(start / 1000000)
if second == get('second') then
  put('count', get('count') + 1)
elseif second > get('second') then
  put('before', second == get('second') + 1 and get('count') or 0)
  put('count', 1)
  put('second', second)
end
redis.call('ZADD', KEYS[2], text(start + held_for), call)
redis.call('PEXPIRE', KEYS[2], math.ceil((start - time + held_for) / 1000) + 60000)
return answer(1, start - time, '')
"""
)

# ARGV: now or '', ceiling, least rate, call, epoch of its permit, outcome, waited ms,
#       rest that the refusal asks for or '', quota: limit, left, time to its reset (all '' without)
SETTLE = (
    _BOTH
    + f"""
local epoch, outcome = tonumber(ARGV[5]), ARGV[6]
redis.call('ZREM', KEYS[2], call)
if outcome ~= 'unused' then
  put('calls', get('calls') + 1)
  put('waited_ms', get('waited_ms') + tonumber(ARGV[7]))
end

local limit, left, reset = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])
if limit then
  put('window', limit == get('limit') and math.max(get('window'), reset) or reset)
  put('limit', limit)
  put('left', left - redis.call('ZCARD', KEYS[2]))
  put('reset_at', time + reset)
  put('told_at', time)
end

if outcome == 'refused' then
  put('refused', get('refused') + 1)
  local rest = tonumber(ARGV[8])
  if epoch == get('epoch') then
    put('epoch', epoch + 1)
    put('in_a_row', get('in_a_row') + 1)
    local seen = math.max(get('count'), get('before'), {LEAST_BLAMED_RATE})
    put('too_fast', math.min(rate, seen))
    put('rate', math.max(get('too_fast') * {DECREASE}, least))
    local doubled = {FIRST_REST_US} * 2 ^ math.min(get('in_a_row') - 1, 20)
    rest = rest or math.min(doubled, {LONGEST_DOUBLED_REST_US})
  end
  if rest then
    put('hold_until', math.max(get('hold_until'), time + math.min(math.max(rest, 100000), {LONGEST_REST_US})))
  end
elseif outcome == 'answered' and epoch == get('epoch') then
  if get('in_a_row') > 0 then put('in_a_row', 0) end
  if rate < ceiling then
    local seconds = math.min(time - get('grown_at'), 1000000) / 1000000
    local step = rate < get('too_fast') and {INCREASE} * get('too_fast') or {SPEED_UP} * rate
    put('rate', math.min(rate + step * seconds, ceiling))
    put('grown_at', time)
  end
end
save()
return 1
"""
)
