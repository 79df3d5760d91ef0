-- A page of a table, keys and values as of one moment.
--
-- KEYS  1 the hash of its values, 2 the sorted set of its keys
-- ARGV  1 and 2 the range of keys as ZRANGEBYLEX takes it, 3 how many at most
-- Returns key, value, key, value, …
local found = {}
for _, key in ipairs(redis.call('ZRANGEBYLEX', KEYS[2], ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])) do
  local value = redis.call('HGET', KEYS[1], key)
  if value then
    found[#found + 1] = key
    found[#found + 1] = value
  end
end
return found
