-- A write to the state store: all of its steps or none.
--
-- KEYS  1 the stream of changes, then for each table that is written or expected two: the hash of its values, the sorted set of its keys
-- ARGV  1 how many tables, 2 how many steps, 3 longest stream of changes, 4 most steps whose keys are noted one by one,
--       the names of the tables, then four for each step: number of its table (from 1), key, what, value
--       what: expect (the value must be this one), absent (there must be none), put, remove, add (JSON object of numbers)
-- Returns 1, or 0 when an expectation does not hold.
local tables, steps = tonumber(ARGV[1]), tonumber(ARGV[2])
local first = 5 + tables

local function at(step)
  local i = first + 4 * step
  local number = tonumber(ARGV[i])
  return KEYS[2 * number], KEYS[2 * number + 1], ARGV[4 + number], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
end

for step = 0, steps - 1 do
  local values, _, _, key, what, value = at(step)
  if what == 'expect' or what == 'absent' then
    local now = redis.call('HGET', values, key)
    if what == 'absent' then
      if now then return 0 end
    elseif now ~= value then return 0 end
  end
end

local noted = {}
for step = 0, steps - 1 do
  local values, keys, name, key, what, value = at(step)
  if what == 'add' then
    local sums = cjson.decode(redis.call('HGET', values, key) or '{}')
    for field, more in pairs(cjson.decode(value)) do sums[field] = (sums[field] or 0) + more end
    local fields = {}
    for field in pairs(sums) do fields[#fields + 1] = field end
    table.sort(fields)
    -- Written out by hand: the JSON encoder of Redis keeps 14 digits.
    local parts = {}
    for _, field in ipairs(fields) do parts[#parts + 1] = cjson.encode(field) .. ':' .. string.format('%.0f', sums[field]) end
    value = '{' .. table.concat(parts, ',') .. '}'
    what = 'put'
  end
  if what == 'put' then
    redis.call('HSET', values, key, value)
    redis.call('ZADD', keys, 0, key)
  elseif what == 'remove' then
    redis.call('HDEL', values, key)
    redis.call('ZREM', keys, key)
  end
  if what ~= 'expect' and what ~= 'absent' then
    if steps <= tonumber(ARGV[4]) then redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 'change', name .. ' ' .. key)
    else noted[name] = true end
  end
end
for name in pairs(noted) do redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 'change', name) end
return 1
