// What a program with node-postgres does. Prints what it saw.
const { createRequire } = require("node:module");
const [modules, host, port, user, password, database] = process.argv.slice(2);
const { Client, Pool } = createRequire(modules + "/")("pg");
const options = { host, port: Number(port), user, password, database, ssl: false };

async function main() {
  const client = new Client(options);
  const notices = [];
  client.on("notice", (notice) => notices.push(notice.message));
  await client.connect();
  const values = [1, "é'x", true, null, new Date(Date.UTC(2026, 0, 2)), Buffer.from([0, 255]), { a: [1] }];
  const casts = ["int4", "text", "bool", "text", "timestamptz", "bytea", "jsonb"];
  for (const [index, value] of values.entries()) {
    const { rows, fields } = await client.query(`SELECT $1::${casts[index]} AS v`, [value]);
    console.log("type", casts[index], JSON.stringify(rows), fields[0].dataTypeID);
  }
  await client.query("CREATE TABLE node_t (id serial PRIMARY KEY, name text UNIQUE)");
  for (let i = 0; i < 20; i++) {
    await client.query({ name: "insert", text: "INSERT INTO node_t (name) VALUES ($1)", values: ["n" + i] });
  }
  const several = await client.query("SELECT 1 AS a; SELECT 2 AS b, 'x' AS c");
  console.log("several", JSON.stringify(several.map((result) => result.rows)));
  const array = await client.query({ text: "SELECT id, name FROM node_t WHERE id < $1 ORDER BY id", values: [4], rowMode: "array" });
  console.log("array", JSON.stringify(array.rows), array.command, array.rowCount);
  for (const text of ["SELECT 1/0", "SELEC", "INSERT INTO node_t (name) VALUES ('n1')"]) {
    try {
      await client.query(text);
    } catch (error) {
      console.log("error", error.code, error.message, error.constraint ?? "");
    }
  }
  await client.query("BEGIN");
  await client.query("DELETE FROM node_t WHERE id = 1");
  await client.query("ROLLBACK");
  console.log("count", JSON.stringify((await client.query("SELECT count(*) FROM node_t")).rows));
  await client.query("DO $$ BEGIN RAISE NOTICE 'noticed'; END $$");
  console.log("notices", JSON.stringify(notices));
  const heard = new Promise((resolve) => client.once("notification", resolve));
  await client.query("LISTEN node_channel");
  await client.query("NOTIFY node_channel, 'hello'");
  const { channel, payload } = await heard;
  console.log("notify", channel, payload);
  await client.query("DROP TABLE node_t");
  await client.end();
  const pool = new Pool({ ...options, max: 4 });
  const sums = await Promise.all(Array.from({ length: 40 }, (_, i) => pool.query("SELECT $1::int AS n", [i])));
  console.log("pool", sums.reduce((sum, result) => sum + result.rows[0].n, 0));
  await pool.end();
  console.log("done");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
