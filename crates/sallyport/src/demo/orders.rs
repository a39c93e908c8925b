//! The sample `orders` database.

/// Made by the superuser; `orders_app`, as which the gateway logs in, owns it. Names, addresses and numbers are made
/// up; card numbers satisfy the Luhn check so that they look real to whoever checks.
pub(super) const SCHEMA: &str = r"
SET client_min_messages = warning;
ALTER DATABASE orders OWNER TO orders_app;
ALTER SCHEMA public OWNER TO orders_app;
SET ROLE orders_app;

CREATE TABLE customers (
  id          integer PRIMARY KEY,
  name        text NOT NULL,
  email       text NOT NULL UNIQUE,
  phone       text,
  card_number text NOT NULL,
  national_id text NOT NULL,
  country     char(2) NOT NULL,
  created_at  timestamptz NOT NULL
);
CREATE TABLE orders (
  id          integer PRIMARY KEY,
  customer_id integer NOT NULL REFERENCES customers,
  status      text NOT NULL CHECK (status IN ('open', 'paid', 'shipped', 'cancelled')),
  total       numeric(10, 2) NOT NULL,
  note        text,
  placed_at   timestamptz NOT NULL
);
CREATE TABLE payments (
  id       integer PRIMARY KEY,
  order_id integer NOT NULL REFERENCES orders,
  amount   numeric(10, 2) NOT NULL,
  paid_at  timestamptz NOT NULL
);

INSERT INTO customers
SELECT
  n,
  (ARRAY['Ada','Boris','Chen','Dalia','Elif','Farid','Grace','Hugo','Ines','Jan'])[1 + n % 10] || ' ' ||
  (ARRAY['Byron','Kim','Li','Roe','Moss','Ito','Poe','Silva','Novak','Okoye','Berg'])[1 + n % 11],
  'customer' || n || '@example.com',
  '+1 415 555 ' || lpad((n % 10000)::text, 4, '0'),
  digits || (10 - luhn % 10) % 10,
  lpad((100 + n % 560)::text, 3, '0') || '-' || lpad((10 + n % 89)::text, 2, '0') || '-' || lpad((1 + n % 9998)::text, 4, '0'),
  (ARRAY['DE','FR','GB','JP','US'])[1 + n % 5],
  timestamptz '2024-01-01' + n * interval '1 hour'
FROM generate_series(1, 10000) AS n
CROSS JOIN LATERAL (SELECT '4' || lpad((n * 7919::bigint % 100000000000000)::text, 14, '0') AS digits) AS d
CROSS JOIN LATERAL (
  SELECT sum(CASE WHEN i % 2 = 1 THEN (2 * v) / 10 + (2 * v) % 10 ELSE v END) AS luhn
  FROM generate_series(1, 15) AS i, LATERAL (SELECT substr(digits, i, 1)::integer AS v) AS digit
) AS l;

INSERT INTO orders
SELECT n, 1 + n % 10000, (ARRAY['open','paid','shipped','cancelled'])[1 + n % 4], 5 + (n * 37 % 50000) / 100.0,
       CASE WHEN n % 50 = 0 THEN 'call before delivery' END, timestamptz '2025-01-01' + n * interval '20 minutes'
FROM generate_series(1, 30000) AS n;

INSERT INTO payments
SELECT n, n, total, placed_at + interval '1 day' FROM orders, LATERAL (SELECT id AS n) AS i WHERE status <> 'open';

CREATE VIEW customers_masked AS
SELECT id, name, '***-**-' || right(national_id, 4) AS national_id_last4, country FROM customers;
CREATE INDEX ON orders (customer_id);
CREATE INDEX ON payments (order_id);
RESET ROLE;
ANALYZE;
";
