-- What psql does beyond plain statements.
\set ON_ERROR_STOP off
\encoding
SELECT current_setting('standard_conforming_strings'), 'é' AS accent;
CREATE TABLE psql_t (id int PRIMARY KEY, name text);
\d psql_t
\copy psql_t FROM PROGRAM 'printf "1\\ta\\n2\\tb\\n3\\t\\\\N\\n"'
\copy (SELECT * FROM psql_t ORDER BY id) TO STDOUT WITH (FORMAT csv, HEADER)
COPY psql_t TO STDOUT;
COPY psql_t FROM STDIN;
4	from the script
5	and another
\.
SELECT * FROM psql_t ORDER BY id \gx
SELECT 1 AS a \; SELECT 2 AS b;
SELECT 'SELECT ' || g FROM generate_series(1, 3) g \gexec
SELECT id, name FROM psql_t ORDER BY id \gdesc
\set FETCH_COUNT 2
SELECT * FROM psql_t ORDER BY id;
\unset FETCH_COUNT
SELECT 1/0;
BEGIN;
INSERT INTO psql_t VALUES (1, 'twice');
SELECT 'skipped';
ROLLBACK;
\set ON_ERROR_ROLLBACK on
BEGIN;
INSERT INTO psql_t VALUES (1, 'twice');
INSERT INTO psql_t VALUES (6, 'kept');
COMMIT;
PREPARE p (int) AS SELECT name FROM psql_t WHERE id = $1;
EXECUTE p (6);
DEALLOCATE p;
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM psql_t ORDER BY id;
FETCH 2 FROM c;
MOVE 1 FROM c;
FETCH ALL FROM c;
COMMIT;
SET search_path = pg_catalog;
SHOW search_path;
RESET search_path;
DO $$ BEGIN RAISE NOTICE 'a notice' USING DETAIL = 'its detail', HINT = 'its hint'; END $$;
\dt
\d+ psql_t
\di+ psql_t*
\dn
\dv
\df pg_catalog.to_jsonb
\dT pg_catalog.int4
\dp psql_t
\dx
\dd psql_t
\sf pg_catalog.pg_relation_size(regclass)
\l template1
EXPLAIN (COSTS off) SELECT * FROM psql_t WHERE id = 1;
LISTEN psql_channel;
SELECT lo_create(424242);
SELECT lo_unlink(424242);
DROP TABLE psql_t;
