-- The database that the corpora of SQL cases speak about: the cases name these roles, tables, rows and functions,
-- so this file states the same facts, in the same order. Run by psql as the superuser `pgadmin`.

CREATE ROLE app LOGIN CREATEDB CREATEROLE;
CREATE ROLE dba LOGIN SUPERUSER;
CREATE ROLE analyst LOGIN;
CREATE ROLE ops NOLOGIN;
CREATE ROLE repl LOGIN REPLICATION;
GRANT pg_read_all_stats TO analyst;
GRANT ops TO app;
CREATE DATABASE shop OWNER app;
CREATE DATABASE scratchdb OWNER app;
\c shop
CREATE EXTENSION dblink;
CREATE EXTENSION postgres_fdw;
CREATE EXTENSION file_fdw;
CREATE EXTENSION tablefunc;
CREATE EXTENSION xml2;
CREATE EXTENSION hstore;
CREATE EXTENSION pgcrypto;
CREATE EXTENSION pageinspect;
CREATE EXTENSION citext;
CREATE EXTENSION fuzzystrmatch;
CREATE EXTENSION pg_trgm;
CREATE EXTENSION adminpack;
CREATE EXTENSION lo;
CREATE EXTENSION pg_stat_statements;
ALTER SCHEMA public OWNER TO app;
GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO app;
SET SESSION AUTHORIZATION app;
CREATE TABLE public.customers(
  id integer PRIMARY KEY, name text NOT NULL, email text NOT NULL UNIQUE, ssn text NOT NULL CHECK (ssn ~ '^\d{3}-\d{2}-\d{4}$'),
  card_number text NOT NULL, country text DEFAULT 'US', active boolean NOT NULL DEFAULT true, notes text, created_at timestamptz NOT NULL DEFAULT now());
INSERT INTO public.customers(id,name,email,ssn,card_number,country,notes) VALUES
 (1,'Ada Byron','ada@example.com','532-71-9001','4111111111111111','GB','vip'),
 (2,'Boris Kim','boris@example.com','219-09-9932','5500005555555559','US',NULL),
 (3,'Chen Li','chen@example.com','457-55-5462','340000000000009','CN','drop shipment'),
 (4,'Dana Roe','dana@example.com','321-54-7788','6011000000000004','US',NULL),
 (5,'Eve Moss','eve@example.com','612-34-8801','4012888888881881','DE','truncate name on label'),
 (6,'Fay Ito','fay@example.com','408-22-6713','3530111333300000','JP',NULL),
 (7,'Gus Poe','gus@example.com','771-02-4455','4222222222222','US',NULL),
 (8,'Gus Poe Jr','gusjr@example.com','771-02-4455','5105105105105100','US',NULL);
CREATE TABLE public.orders (
  id integer PRIMARY KEY,
  customer_id integer,
  status text,
  total numeric(10,2),
  "drop" text,
  placed_at date,
  note text
);
INSERT INTO public.orders SELECT g, 1+(g%8), CASE WHEN g%3=0 THEN 'cancelled' ELSE 'open' END, g*10.5, 'd'||g, date '2026-01-01'+g, NULL FROM generate_series(1,12) g;
CREATE TABLE public.order_items (
  id integer PRIMARY KEY,
  order_id integer REFERENCES public.orders(id) ON DELETE CASCADE,
  sku text
);
INSERT INTO public.order_items SELECT g, 1+(g%12), 'sku'||g FROM generate_series(1,24) g;
CREATE TABLE public.audit_log (
  id serial PRIMARY KEY,
  msg text,
  truncate_flag boolean DEFAULT false,
  ts timestamptz DEFAULT now()
);
INSERT INTO public.audit_log(msg) VALUES ('boot'),('login');
CREATE TABLE public.staging_import(id integer, payload text);
INSERT INTO public.staging_import VALUES (1,'a'),(2,'b');
CREATE TABLE public.leads(id integer PRIMARY KEY, name text, ssn text, card_number text);
INSERT INTO public.leads VALUES (1,'Lead One','n/a','n/a'),(2,'Lead Two','unknown','unknown');
CREATE TABLE public."drop table"(id integer, "delete" text, "where" text);
INSERT INTO public."drop table" VALUES (1,'x','y');
CREATE TABLE public.dropdown_options (
  id integer PRIMARY KEY,
  label text,
  truncated boolean
);
INSERT INTO public.dropdown_options VALUES (1,'Drop table lamp',false),(2,'Truncate sofa',true);
CREATE TABLE public."program" (
  id integer,
  v text); INSERT INTO public."program" VALUES (1,
  'p'
);
CREATE TABLE public.this_is_a_table_whose_name_is_exactly_sixty_three_bytes_long_ab (
  id int
);
INSERT INTO public.this_is_a_table_whose_name_is_exactly_sixty_three_bytes_long_ab VALUES (1);
CREATE SCHEMA demo;
CREATE TABLE demo.customers (
  id integer PRIMARY KEY,
  name text,
  ssn text,
  card_number text
);
INSERT INTO demo.customers VALUES (1,'Demo','000-00-0000','0000'),(2,'Demo2','000-00-0001','0001');
CREATE VIEW public.customers_masked AS SELECT id, name, '***-**-'||right(ssn,4) AS ssn_last4 FROM public.customers;
CREATE VIEW public.customer_export AS SELECT id, name AS full_name, ssn AS tax_ref, card_number AS pan FROM public.customers;
CREATE VIEW public.customer_directory AS SELECT id, name, email, country FROM public.customers;
CREATE VIEW public.all_customers AS SELECT * FROM public.customers;
CREATE MATERIALIZED VIEW public.customer_cache AS SELECT id, ssn AS k FROM public.customers;
CREATE FUNCTION public.get_tax_ref(i int) RETURNS text LANGUAGE sql STABLE AS 'SELECT c.ssn FROM public.customers c WHERE c.id = i';
CREATE FUNCTION public.order_total(i int) RETURNS numeric LANGUAGE sql STABLE AS 'SELECT sum(total) FROM public.orders WHERE customer_id = i';
CREATE FUNCTION public.fmt_money(n numeric) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT '$'||to_char(n,'FM999990.00') $$;
CREATE FUNCTION public.admin_exec(q text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN EXECUTE q; END $$;
CREATE FUNCTION public.run_report(q text) RETURNS SETOF record LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE q; END $$;
CREATE FUNCTION public.purge_customers() RETURNS void LANGUAGE sql AS 'DELETE FROM public.customers';
CREATE PROCEDURE public.nightly_cleanup() LANGUAGE plpgsql AS $$ BEGIN TRUNCATE public.staging_import; TRUNCATE public.orders CASCADE; END $$;
CREATE FUNCTION public.open_customers(r refcursor) RETURNS refcursor LANGUAGE plpgsql AS $$ BEGIN OPEN r FOR SELECT id, ssn FROM public.customers; RETURN r; END $$;
CREATE TABLE public.cmds (
  id int,
  cmd text); INSERT INTO public.cmds VALUES (1,
  'DROP TABLE public.customers'),(2,
  'SELECT 1'
);
ANALYZE public.customers; ANALYZE public.orders;
GRANT SELECT ON public.orders, public.customer_directory, public.customers_masked TO analyst;
GRANT SELECT (id,name,email,country,active,notes,created_at) ON public.customers TO analyst;
GRANT USAGE ON SCHEMA public TO analyst;
RESET SESSION AUTHORIZATION;
