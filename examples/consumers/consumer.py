"""Reads positions from Redis as a consumer group and counts what each device has sent.

    GROUP=billing REDIS_URL=redis://127.0.0.1:6379 python3 examples/consumers/consumer.py

Needs redis-py (Debian: python3-redis). It does what consumer.ts does; the numbered remarks there explain it.
"""
import json
import os
import sys
import time
import urllib.request

import redis

STREAM = os.environ.get("PREFIX", "fixgate") + ":positions"
GROUP = os.environ.get("GROUP", "example")
CONSUMER = os.environ.get("CONSUMER", "one")
ONCE = os.environ.get("ONCE", "") != ""
CLAIM_MS = int(os.environ.get("CLAIM_MS", "60000"))
CLICKHOUSE = os.environ.get("CLICKHOUSE_URL", "")
REMEMBER_S = 7 * 86_400
# Records of two workers stand in the stream in an order that is not quite that of their receipt; what is taken twice counts once.
SLACK_MS = 60_000

client = redis.Redis.from_url(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379"), decode_responses=True)

# The effect and the mark that it has happened, together. Redis runs a script as a whole.
take_script = client.register_script("""
  if redis.call('SET', KEYS[1], '1', 'NX', 'EX', ARGV[1]) then redis.call('HINCRBY', KEYS[2], ARGV[2], 1) end
  if ARGV[3] ~= '' then redis.call('XACK', KEYS[3], ARGV[4], ARGV[3]) end""")


def take(id, device, entry):
    take_script(keys=[f"{GROUP}:seen:{id}", f"{GROUP}:records", STREAM], args=[REMEMBER_S, device, entry, GROUP])


def work(entries):
    for entry, fields in entries:
        fix = json.loads(fields["data"])
        take(fix["id"], fix["device"], entry)


def fetch_missed():
    """The entries that were trimmed before the group was given them, from ClickHouse."""
    stream = client.execute_command("XINFO STREAM", STREAM)
    group = next(one for one in client.execute_command("XINFO GROUPS", STREAM) if one["name"] == GROUP)
    read = 0 if group["last-delivered-id"] == "0-0" else group["entries-read"]
    # None: of a group that was set to some id by hand, Redis does not know how much it has read.
    missed = 0 if read is None else stream["entries-added"] - stream["length"] - read
    if missed <= 0:
        return
    first = stream["first-entry"]
    until = json.loads(first[1]["data"])["received"] + SLACK_MS if first else int(time.time() * 1000)
    since = int(client.get(f"{GROUP}:received") or 0)
    print(f"{missed} entries were trimmed before they were read; reading them from ClickHouse", file=sys.stderr)
    if CLICKHOUSE == "":
        sys.exit("set CLICKHOUSE_URL")
    sql = (
        "SELECT id, device FROM positions FINAL WHERE received BETWEEN "
        f"fromUnixTimestamp64Milli({since}) AND fromUnixTimestamp64Milli({until}) FORMAT JSONEachRow"
    )
    request = urllib.request.Request(CLICKHOUSE, data=sql.encode(), method="POST")
    request.add_header("X-ClickHouse-Key", os.environ.get("CLICKHOUSE_PASSWORD", ""))
    request.add_header("X-ClickHouse-Database", os.environ.get("CLICKHOUSE_DATABASE", "fixgate"))
    with urllib.request.urlopen(request) as answer:
        for line in answer.read().decode().splitlines():
            row = json.loads(line)
            take(row["id"], row["device"], "")


def claim():
    start = "0-0"
    while True:
        start, entries = client.xautoclaim(STREAM, GROUP, CONSUMER, CLAIM_MS, start, count=100)[:2]
        work(entries)
        if start == "0-0":
            return


try:
    client.xgroup_create(STREAM, GROUP, "0", mkstream=True)
except redis.ResponseError as error:
    if not str(error).startswith("BUSYGROUP"):
        raise
fetch_missed()
claimed = 0.0
while True:
    if time.monotonic() - claimed > CLAIM_MS / 1000:
        claim()
        claimed = time.monotonic()
    replies = client.xreadgroup(GROUP, CONSUMER, {STREAM: ">"}, count=100, block=1000)
    if not replies and ONCE:
        break
    if not replies:
        continue
    entries = replies[0][1]
    work(entries)
    client.set(f"{GROUP}:received", json.loads(entries[-1][1]["data"])["received"] - SLACK_MS)
