//! What a program with sqlx does. Says what it saw.

use std::fmt::Write;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPoolOptions, PgSslMode};
use sqlx::types::Json;
use sqlx::{Connection, Executor, Row};

use crate::Endpoint;

/// How long a notification may take that was sent.
const NOTIFICATION_TIMEOUT: Duration = Duration::from_secs(20);

/// sqlx, which prepares and describes every statement, and asks for everything in binary.
///
/// # Errors
/// When something of it does not work.
pub fn sqlx(endpoint: &Endpoint) -> Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(program(endpoint))
}

async fn program(endpoint: &Endpoint) -> Result<String> {
    let options = PgConnectOptions::new_without_pgpass()
        .host(&endpoint.host)
        .port(endpoint.port)
        .username(&endpoint.user)
        .password(&endpoint.password)
        .database(&endpoint.database)
        .ssl_mode(if endpoint.tls {
            PgSslMode::Require
        } else {
            PgSslMode::Disable
        });
    let mut out = String::new();
    let mut connection = PgConnection::connect_with(&options).await?;
    types(&mut connection, &mut out).await?;
    statements(&mut connection, &mut out).await?;
    failures(&mut connection, &mut out).await?;
    transactions(&mut connection, &mut out).await?;
    copies(&mut connection, &mut out).await?;
    described(&mut connection, &mut out).await?;
    connection.execute("DROP TABLE sqlx_t").await?;
    connection.close().await?;
    let pool = PgPoolOptions::new().max_connections(3).connect_with(options).await?;
    notifications(&pool, &mut out).await?;
    let mut sum = 0;
    for number in 0..30_i32 {
        sum += sqlx::query_scalar::<_, i32>("SELECT $1 + 1")
            .bind(number)
            .fetch_one(&pool)
            .await?;
    }
    writeln!(out, "pool {sum}")?;
    pool.close().await;
    out.push_str("done\n");
    Ok(out)
}

async fn types(connection: &mut PgConnection, out: &mut String) -> Result<()> {
    for round in 0..3_i32 {
        let row = sqlx::query(
            "SELECT $1 AS n, $2 AS big, $3 AS text, $4 AS bytes, $5 AS list, $6 AS names, $7 AS doc, $8 AS nothing",
        )
        .bind(round)
        .bind(1_i64 << 40)
        .bind("é'x")
        .bind(vec![0_u8, 255])
        .bind(vec![1_i32, 2, 3])
        .bind(vec![Some("a".to_owned()), None, Some("{".to_owned())])
        .bind(Json(serde_json::json!({ "k": [1, "x", null] })))
        .bind(None::<bool>)
        .fetch_one(&mut *connection)
        .await?;
        writeln!(
            out,
            "types {} {} {} {:?} {:?} {:?} {} {:?}",
            row.try_get::<i32, _>("n")?,
            row.try_get::<i64, _>("big")?,
            row.try_get::<String, _>("text")?,
            row.try_get::<Vec<u8>, _>("bytes")?,
            row.try_get::<Vec<i32>, _>("list")?,
            row.try_get::<Vec<Option<String>>, _>("names")?,
            row.try_get::<Json<serde_json::Value>, _>("doc")?.0,
            row.try_get::<Option<bool>, _>("nothing")?,
        )?;
    }
    Ok(())
}

async fn statements(connection: &mut PgConnection, out: &mut String) -> Result<()> {
    connection
        .execute(
            "CREATE TABLE sqlx_t (id serial PRIMARY KEY, name text UNIQUE); INSERT INTO sqlx_t (name) VALUES ('z')",
        )
        .await?;
    for number in 0..20 {
        let inserted = sqlx::query("INSERT INTO sqlx_t (name) VALUES ($1)")
            .bind(format!("n{number}"))
            .execute(&mut *connection)
            .await?;
        ensure!(
            inserted.rows_affected() == 1,
            "an INSERT of one row inserted another number of them"
        );
    }
    let names: Vec<String> = sqlx::query_scalar("SELECT name FROM sqlx_t WHERE id = ANY($1) ORDER BY id")
        .bind(vec![1_i32, 2, 3])
        .fetch_all(&mut *connection)
        .await?;
    writeln!(out, "names {names:?}")?;
    let once = sqlx::query("SELECT count(*) FROM sqlx_t").persistent(false);
    writeln!(
        out,
        "count {}",
        once.fetch_one(&mut *connection).await?.try_get::<i64, _>(0)?
    )?;
    Ok(())
}

async fn failures(connection: &mut PgConnection, out: &mut String) -> Result<()> {
    for text in [
        "SELECT 1/0",
        "SELEC",
        "SELECT * FROM nowhere",
        "INSERT INTO sqlx_t (name) VALUES ('n1')",
    ] {
        let error = sqlx::query(text)
            .execute(&mut *connection)
            .await
            .err()
            .context("it did not fail")?;
        let error = error.as_database_error().context("not an error of the server")?;
        writeln!(
            out,
            "error {:?} {} {:?}",
            error.code(),
            error.message(),
            error.constraint()
        )?;
    }
    Ok(())
}

async fn transactions(connection: &mut PgConnection, out: &mut String) -> Result<()> {
    let mut outer = connection.begin().await?;
    outer.execute("DELETE FROM sqlx_t WHERE id = 1").await?;
    let mut inner = outer.begin().await?;
    inner.execute("DELETE FROM sqlx_t WHERE id = 2").await?;
    inner.rollback().await?;
    outer.commit().await?;
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlx_t WHERE id < 3")
        .fetch_one(&mut *connection)
        .await?;
    writeln!(out, "left {left}")?;
    let mut dropped = connection.begin().await?;
    let failed = dropped.execute("SELECT 1/0").await.is_err();
    // A transaction that is dropped is rolled back with the next statement.
    drop(dropped);
    let after: i32 = sqlx::query_scalar("SELECT 1").fetch_one(&mut *connection).await?;
    writeln!(out, "failed {failed}, after {after}")?;
    Ok(())
}

async fn copies(connection: &mut PgConnection, out: &mut String) -> Result<()> {
    use futures_util::TryStreamExt;
    let mut copy = connection.copy_in_raw("COPY sqlx_t (name) FROM STDIN").await?;
    copy.send(&b"x1\nx2\n"[..]).await?;
    copy.send(&b"x3\n"[..]).await?;
    writeln!(out, "copied in {}", copy.finish().await?)?;
    let copy = connection.copy_in_raw("COPY sqlx_t (name) FROM STDIN").await?;
    writeln!(out, "given up {}", copy.abort("changed my mind").await.is_ok())?;
    let stream = connection
        .copy_out_raw("COPY (SELECT name FROM sqlx_t WHERE name LIKE 'x%' ORDER BY 1) TO STDOUT")
        .await?;
    let pieces: Vec<_> = stream.try_collect().await?;
    writeln!(out, "copied out {:?}", String::from_utf8_lossy(&pieces.concat()))?;
    Ok(())
}

/// What `sqlx::query!` asks when a program is compiled.
async fn described(connection: &mut PgConnection, out: &mut String) -> Result<()> {
    use sqlx::{Column, SqlSafeStr, TypeInfo};
    let text = "SELECT id, name, now() AS at FROM sqlx_t WHERE id = $1";
    let described = connection.describe(text.into_sql_str()).await?;
    for (index, column) in described.columns().iter().enumerate() {
        let nullable = described.nullable(index);
        writeln!(
            out,
            "column {} {} {nullable:?}",
            column.name(),
            column.type_info().name()
        )?;
    }
    Ok(())
}

async fn notifications(pool: &sqlx::PgPool, out: &mut String) -> Result<()> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen_all(["sqlx_one", "sqlx_two"]).await?;
    for channel in ["sqlx_two", "sqlx_one"] {
        sqlx::query("SELECT pg_notify($1, 'hello')")
            .bind(channel)
            .execute(pool)
            .await?;
        let heard = tokio::time::timeout(NOTIFICATION_TIMEOUT, listener.recv()).await??;
        writeln!(out, "heard {} {}", heard.channel(), heard.payload())?;
    }
    Ok(())
}
