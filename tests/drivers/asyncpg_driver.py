"""What a program with asyncpg does: everything in binary, statements prepared and cached. Prints what it saw."""

import asyncio
import datetime
import decimal
import io
import sys
import uuid

import asyncpg

HOST, PORT, USER, PASSWORD, DATABASE = sys.argv[1:6]


def connect():
    return asyncpg.connect(host=HOST, port=int(PORT), user=USER, password=PASSWORD, database=DATABASE, ssl=False)


async def types(connection):
    rows = [
        ("int4", 7), ("int8", 2**40), ("float8", 1.25), ("numeric", decimal.Decimal("10.50")), ("text", "é'x"),
        ("bytea", b"\x00\x01"), ("bool", True), ("date", datetime.date(2026, 1, 2)), ("uuid", uuid.UUID(int=9)),
        ("timestamptz", datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)), ("int4[]", [1, 2, 3]),
        ("text[]", ["a", None]), ("interval", datetime.timedelta(hours=5)), ("jsonb", '{"a": 1}'), ("text", None),
    ]
    for name, value in rows:
        print("type", name, await connection.fetchval(f"SELECT $1::{name}", value))
    print("record", await connection.fetchrow("SELECT ROW(1, 'x', NULL) AS r, int4range(1, 5) AS g"))


async def main():
    connection = await connect()
    await types(connection)
    await connection.execute("CREATE TABLE asyncpg_t (id int PRIMARY KEY, name text); INSERT INTO asyncpg_t VALUES (0, 'z')")
    await connection.executemany("INSERT INTO asyncpg_t VALUES ($1, $2)", [(i, f"n{i}") for i in range(1, 200)])
    print("count", await connection.fetchval("SELECT count(*) FROM asyncpg_t"))
    await connection.copy_records_to_table("asyncpg_t", records=[(1000 + i, "c") for i in range(500)])
    out = io.BytesIO()
    print("copy out", await connection.copy_from_query("SELECT * FROM asyncpg_t WHERE id < 3 ORDER BY 1", output=out, format="csv"))
    print("csv", out.getvalue())
    statement = await connection.prepare("SELECT name FROM asyncpg_t WHERE id = $1")
    print("attributes", [attribute.name for attribute in statement.get_attributes()])
    print("prepared", [await statement.fetchval(i) for i in range(5)])
    async with connection.transaction():
        total = 0
        async for row in connection.cursor("SELECT id FROM asyncpg_t ORDER BY id", prefetch=13):
            total += row["id"]
        print("cursor", total)
    for bad in ("SELECT 1/0", "SELECT * FROM nowhere", "INSERT INTO asyncpg_t VALUES (1, 'x')"):
        try:
            await connection.fetch(bad)
        except asyncpg.PostgresError as error:
            print("error", error.sqlstate, str(error).splitlines()[0])
    try:
        async with connection.transaction():
            await connection.execute("UPDATE asyncpg_t SET name = 'gone' WHERE id = 5")
            raise RuntimeError
    except RuntimeError:
        print("rolled back", await connection.fetchval("SELECT name FROM asyncpg_t WHERE id = 5"))
    heard = asyncio.get_running_loop().create_future()
    await connection.add_listener("asyncpg_channel", lambda *arguments: heard.done() or heard.set_result(arguments[3]))
    await connection.execute("SELECT pg_notify('asyncpg_channel', 'payload')")
    print("notify", await asyncio.wait_for(heard, 10))
    try:
        await connection.fetch("SELECT pg_sleep(60)", timeout=0.3)
    except asyncio.TimeoutError:
        print("timed out, still", await connection.fetchval("SELECT 'alive'"))
    await connection.execute("DROP TABLE asyncpg_t")
    await connection.close()
    pool = await asyncpg.create_pool(host=HOST, port=int(PORT), user=USER, password=PASSWORD, database=DATABASE,
                                     ssl=False, min_size=3, max_size=3)
    print("pool", sum(await asyncio.gather(*(pool.fetchval("SELECT $1::int", i) for i in range(30)))))
    await pool.close()
    print("done")


asyncio.run(main())
