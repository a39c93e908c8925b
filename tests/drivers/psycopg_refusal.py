"""A statement that policy refuses in the middle of a pipeline, as psycopg sees it. Prints what it saw.

The table `notes (id int primary key, text text)` is there, and whoever runs this may write to it, but not drop it."""

import sys

import psycopg

DSN = sys.argv[1]


def outcome(cursor):
    return psycopg.pq.ExecStatus(cursor.pgresult.status).name if cursor.pgresult else "nothing"


def ids(connection):
    return [row[0] for row in connection.execute("SELECT id FROM notes ORDER BY id").fetchall()]


def in_one_batch(connection):
    """Everything up to the next Sync stands or falls together."""
    try:
        with connection.pipeline() as pipe:
            connection.execute("INSERT INTO notes VALUES (1, %s)", ["a"])
            connection.execute("DROP TABLE notes")
            connection.execute("INSERT INTO notes VALUES (2, %s)", ["b"])
            pipe.sync()
    except psycopg.Error as error:
        print("refused", error.sqlstate, "no-drops-in-production" in (error.diag.message_detail or ""))
    print("state", connection.info.transaction_status.name)
    connection.rollback()
    print("left", ids(connection))
    connection.commit()


def between_batches(connection):
    """What was synced before stays, what comes after runs. psycopg itself begins no transaction here."""
    connection.autocommit = True
    refused = []
    try:
        with connection.pipeline() as pipe:
            connection.execute("INSERT INTO notes VALUES (3, %s)", ["c"])
            pipe.sync()
            try:
                connection.execute("TRUNCATE notes")
                connection.execute("INSERT INTO notes VALUES (4, %s)", ["d"])
                pipe.sync()
            except psycopg.Error as error:
                refused.append(error.sqlstate)
    except psycopg.errors.PipelineAborted:
        # The refusal came before the batch had its end: the rest of it was sent, and skipped.
        pass
    with connection.pipeline() as pipe:
        connection.execute("INSERT INTO notes VALUES (5, %s)", ["e"])
        pipe.sync()
    print("refused", refused, "left", ids(connection))
    connection.autocommit = False


def many(connection):
    """One bad statement among a thousand; the connection is good for more."""
    connection.autocommit = True
    try:
        with connection.pipeline():
            for number in range(1000):
                connection.execute("DROP TABLE notes" if number == 500 else "SELECT %s::int", None if number == 500 else [number])
    except psycopg.Error as error:
        print("one of a thousand", error.sqlstate)
    print("alive", connection.execute("SELECT 'yes'").fetchone(), outcome(connection.execute("SELECT 1")))


def main():
    with psycopg.connect(DSN) as connection:
        in_one_batch(connection)
        between_batches(connection)
        many(connection)
    print("done")


main()
