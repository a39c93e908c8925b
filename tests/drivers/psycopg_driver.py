"""What a program with psycopg does: synchronous, asynchronous, in pipeline mode. Prints what it saw."""

import asyncio
import datetime
import decimal
import sys
import uuid

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

DSN = sys.argv[1]


def types(connection):
    values = [
        1, 2**40, 1.5, decimal.Decimal("12.340"), "text with 'quotes' and é", b"\x00\xff", True, None,
        datetime.date(2026, 1, 2), datetime.datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=datetime.timezone.utc),
        datetime.timedelta(days=3, seconds=5), uuid.UUID(int=7), [1, 2, None], ["a", None, "{b}"], Jsonb({"k": [1, "x"]}),
    ]
    for binary in (False, True):
        with connection.cursor(binary=binary) as cursor:
            for value in values:
                row = cursor.execute("SELECT %s", [value]).fetchone()
                print("type", binary, type(value).__name__, row)


def statements(connection):
    connection.execute("CREATE TABLE psycopg_t (id serial PRIMARY KEY, name text UNIQUE, n int)")
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO psycopg_t (name, n) VALUES (%s, %s)", [(f"n{i}", i) for i in range(50)])
        print("many", cursor.rowcount)
        for i in range(10):
            row = cursor.execute("SELECT name FROM psycopg_t WHERE n = %s", [i], prepare=True).fetchone()
            print("prepared", row)
        with cursor.copy("COPY psycopg_t (name, n) FROM STDIN") as copy:
            for i in range(100, 300):
                copy.write_row((f"copied\t{i}", i))
        with cursor.copy("COPY (SELECT name, n FROM psycopg_t WHERE n > 295 ORDER BY n) TO STDOUT (FORMAT binary)") as copy:
            copy.set_types(["text", "int4"])
            for row in copy.rows():
                print("copy", row)
    connection.commit()
    with connection.cursor() as cursor:
        # A row at a time, and given up in the middle.
        print("stream", sum(row[0] for row in cursor.stream("SELECT generate_series(1, %s)", [5000])))
        for row in cursor.stream("SELECT generate_series(1, 1000)"):
            if row[0] == 10:
                break
        # What was given up is cancelled, which may come too late.
        connection.rollback()
        print("after a stream", cursor.execute("SELECT 'fine'").fetchone())
    with connection.cursor("named") as cursor:
        cursor.itersize = 7
        cursor.execute("SELECT n FROM psycopg_t ORDER BY n LIMIT 30")
        print("server cursor", [row[0] for row in cursor])
    connection.commit()


def failures(connection):
    for statement in ("SELECT 1/0", "SELEC 1", "INSERT INTO psycopg_t (name) VALUES ('n1')"):
        try:
            connection.execute(statement)
        except psycopg.Error as error:
            print("error", error.sqlstate, error.diag.message_primary, error.diag.constraint_name)
        print("state", connection.info.transaction_status.name)
        connection.rollback()
    try:
        with connection.transaction():
            with connection.transaction():
                connection.execute("UPDATE psycopg_t SET n = -1 WHERE id = 1")
                raise psycopg.Rollback()
            print("after savepoint", connection.execute("SELECT n FROM psycopg_t WHERE id = 1").fetchone())
    finally:
        connection.commit()


def pipeline(connection):
    with connection.pipeline():
        cursors = [connection.execute("SELECT %s::int + 1", [i]) for i in range(200)]
    print("pipeline", sum(cursor.fetchone()[0] for cursor in cursors))
    try:
        with connection.pipeline() as pipe:
            connection.execute("SELECT 1")
            broken = connection.execute("SELECT 1/0")
            connection.execute("SELECT 2")
            pipe.sync()
    except psycopg.Error as error:
        print("pipeline error", error.sqlstate)
    connection.rollback()
    print("after pipeline", connection.execute("SELECT 3").fetchone())
    connection.commit()


def notices(connection):
    seen = []
    connection.add_notice_handler(lambda diagnostic: seen.append(diagnostic.message_primary))
    connection.execute("DROP TABLE IF EXISTS psycopg_not_there")
    print("notice", seen)
    connection.commit()
    connection.autocommit = True
    connection.execute("LISTEN psycopg_channel")
    connection.execute("NOTIFY psycopg_channel, 'hello'")
    for notification in connection.notifies(timeout=10, stop_after=1):
        print("notify", notification.channel, notification.payload)
    connection.autocommit = False


def cancel(connection):
    import threading
    timer = threading.Timer(0.3, connection.cancel_safe)
    timer.start()
    try:
        connection.execute("SELECT pg_sleep(60)")
    except psycopg.Error as error:
        print("cancelled", error.sqlstate)
    timer.join()
    connection.rollback()
    print("alive", connection.execute("SELECT 'yes'").fetchone())
    connection.commit()


async def asynchronous():
    async with await psycopg.AsyncConnection.connect(DSN, autocommit=True) as connection:
        async with connection.pipeline():
            cursors = [await connection.execute("SELECT %s::text || 'x'", [str(i)]) for i in range(20)]
        print("async pipeline", [(await cursor.fetchone())[0] for cursor in cursors])
        async with connection.cursor() as cursor:
            await cursor.execute("SELECT generate_series(1, 20000)")
            print("async rows", sum([row[0] async for row in cursor]))
    several = [await psycopg.AsyncConnection.connect(DSN) for _ in range(4)]
    rows = await asyncio.gather(*(connection.execute("SELECT 1") for connection in several))
    print("async connections", len(rows))
    for connection in several:
        await connection.close()


def main():
    with psycopg.connect(DSN) as connection:
        types(connection)
        statements(connection)
        failures(connection)
        pipeline(connection)
        notices(connection)
        cancel(connection)
        connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier("psycopg_t")))
        print("settings", connection.info.parameter_status("client_encoding"),
              connection.info.parameter_status("standard_conforming_strings"), connection.info.server_version)
    asyncio.run(asynchronous())
    print("done")


main()
