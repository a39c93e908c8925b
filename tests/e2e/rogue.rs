//! Targets that answer nonsense, too much, or nothing. No server can be made to do that, so these are played.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use sallyport_testbed::{Gateway, GatewayOptions, Person};
use sallyport_tests::raw::{Raw, error_field, message, query, tags};
use sallyport_tests::{Endpoint, program, root};

/// What the target answers, by the text of the query.
type Answers = HashMap<String, Vec<u8>>;

fn ready() -> Vec<u8> {
    message(b'Z', b"I")
}

fn complete() -> Vec<u8> {
    [message(b'C', b"SELECT 1\0"), ready()].concat()
}

/// A description of one text column, and a row of it.
fn result() -> Vec<u8> {
    let column = [
        b"\0\x01a\0" as &[u8],
        &[0; 6],
        &25_u32.to_be_bytes(),
        &[0xff; 6],
        &[0, 0],
    ]
    .concat();
    [message(b'T', &column), message(b'D', b"\0\x01\0\0\0\x011")].concat()
}

fn status(name: &str, value: &str) -> Vec<u8> {
    message(b'S', format!("{name}\0{value}\0").as_bytes())
}

/// Plays a server that lets everybody in and answers queries as it likes.
fn play(mut stream: TcpStream, answers: &Answers) -> std::io::Result<()> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut packet = vec![
        0;
        usize::try_from(u32::from_be_bytes(length))
            .unwrap_or(0)
            .saturating_sub(4)
    ];
    stream.read_exact(&mut packet)?;
    let welcome = [
        message(b'R', &[0; 4]),
        status("client_encoding", "UTF8"),
        status("standard_conforming_strings", "on"),
        message(b'K', &[0, 0, 0, 1, 0, 0, 0, 2]),
        ready(),
    ];
    stream.write_all(&welcome.concat())?;
    loop {
        let mut header = [0; 5];
        stream.read_exact(&mut header)?;
        let [tag, length @ ..] = header;
        let mut body = vec![
            0;
            usize::try_from(u32::from_be_bytes(length))
                .unwrap_or(0)
                .saturating_sub(4)
        ];
        stream.read_exact(&mut body)?;
        let text = String::from_utf8_lossy(&body).trim_end_matches('\0').to_owned();
        match answers.get(&text) {
            _ if tag == b'X' => return Ok(()),
            Some(answer) if tag == b'Q' => stream.write_all(answer)?,
            // What it does not know, among it the gateway's own questions, it closes at.
            _ => return Ok(()),
        }
    }
}

struct House {
    gateway: Gateway,
    endpoint: Endpoint,
}

fn house(answers: Answers) -> Result<House> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let answers = Arc::new(answers);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answers = Arc::clone(&answers);
            // How the gateway parts from it is seen from the other side.
            std::thread::spawn(move || drop(play(stream, &answers)));
        }
    });
    let target = |name: &str, port: u16| {
        format!(
            "[[target]]\nname = \"{name}\"\nprotocol = \"postgres\"\naddress = \"127.0.0.1:{port}\"\n\
             user = \"the_role\"\ntls = \"disable\"\nauth = [\"trust\"]\n\n"
        )
    };
    // Nobody listens on the port that was just given back.
    let closed = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let gateway = Gateway::start(&GatewayOptions {
        program: program()?,
        policy: root().join("tests/policies/permit-all"),
        targets: Some(target("rogue", port) + &target("dead", closed)),
        people: vec![Person::new("alice", &["developers"])],
        settings: String::new(),
    })?;
    let endpoint = Endpoint {
        host: gateway.postgres().ip().to_string(),
        port: gateway.postgres().port(),
        user: "alice".to_owned(),
        password: gateway.token("alice")?,
        database: "rogue".to_owned(),
        tls: false,
    };
    Ok(House { gateway, endpoint })
}

/// What ends a session whatever the policy is. Data that nobody masks is passed on as it is, so it is not among this.
fn nonsense() -> Vec<(&'static str, Vec<u8>)> {
    let row = |body: &[u8]| message(b'D', body);
    vec![
        ("a type that nobody says", message(b'?', b"what")),
        ("a type that only clients say", message(b'Q', b"SELECT 1\0")),
        ("an impossible length", b"D\0\0\0\x03".to_vec()),
        ("a length beyond everything", b"D\xff\xff\xff\xff".to_vec()),
        ("a length beyond the protocol", b"D\x40\0\0\0".to_vec()),
        (
            "a row without a description",
            [row(b"\0\x01\0\0\0\x011"), complete()].concat(),
        ),
        ("a description that ends early", message(b'T', b"\0\x05a\0")),
        ("a COPY in that nobody asked for", message(b'G', b"\0\0\0")),
        ("a COPY both", message(b'W', b"\0\0\0")),
        ("copy data outside a COPY", message(b'd', b"leak\n")),
        ("a question for the password", message(b'R', &[0, 0, 0, 3])),
        ("a second login", message(b'R', &[0; 4])),
        ("another key", message(b'K', &[0, 0, 0, 9, 0, 0, 0, 9])),
        ("a negotiation", message(b'v', &[0; 8])),
        ("an answer to a Parse", message(b'1', b"")),
        (
            "a status that is none",
            [result(), message(b'C', b"SELECT 1\0"), message(b'Z', b"?")].concat(),
        ),
        ("an error without an end", message(b'E', b"SFATAL\0Mno end")),
        ("a notification that ends early", message(b'A', b"\0\0\0\x01chan")),
        ("a parameter that ends early", message(b'S', b"client_encoding\0UTF8")),
        ("half a message", b"D\0\0\0\x20half".to_vec()),
    ]
}

/// Each kind of nonsense ends its session, in words where the stream of messages still permits them, and no other.
#[test]
fn nonsense_ends_the_session_and_no_other() -> Result<()> {
    let mut answers = Answers::new();
    for (number, (what, bytes)) in nonsense().into_iter().enumerate() {
        // Half a message is followed by the end of the connection, anything else by an answer to nothing.
        let close = if what == "half a message" {
            Vec::new()
        } else {
            complete()
        };
        answers.insert(format!("SELECT {number}"), [bytes, close].concat());
    }
    answers.insert("SELECT 'good'".to_owned(), [result(), complete()].concat());
    let house = house(answers)?;
    let mut bystander = Raw::login(&house.endpoint)?;
    let mut passed = Vec::new();
    for (number, (what, _)) in nonsense().iter().enumerate() {
        let mut raw = Raw::login(&house.endpoint)?;
        raw.send(&query(&format!("SELECT {number}")))?;
        // At what it does not know the target closes, which is when half a message stays half, and what passed shows.
        raw.send(&query("bye"))?;
        let said = raw.rest().with_context(|| (*what).to_owned())?;
        let words = error_field(&said, b'M').unwrap_or_default();
        let blamed = words.contains("broke the protocol") || (*what == "half a message" && words.contains("closed"));
        let leaked = said
            .iter()
            .any(|(tag, _)| matches!(tag, b'd' | b'K' | b'R' | b'G' | b'H' | b'W'));
        if !blamed || leaked {
            passed.push(((*what).to_owned(), words, tags(&said)));
        }
        bystander.send(&query("SELECT 'good'"))?;
        ensure!(tags(&bystander.until(b'Z')?) == "TDCZ", "after {what}");
    }
    ensure!(passed.is_empty(), "{passed:?}");
    ensure!(house.gateway.is_running(), "{}", house.gateway.log_tail());
    Ok(())
}

/// Remarks without end are passed on and not kept, and so are settings.
#[test]
fn floods_of_remarks_take_no_memory() -> Result<()> {
    let mut answers = Answers::new();
    let mut flood = Vec::new();
    for number in 0..200_000 {
        flood.extend(status(&format!("setting_{number}"), "x"));
        flood.extend(message(b'N', b"SNOTICE\0VNOTICE\0C00000\0Mhere\0\0"));
    }
    answers.insert("SELECT 'flood'".to_owned(), [flood, result(), complete()].concat());
    let house = house(answers)?;
    let mut raw = Raw::login(&house.endpoint)?;
    for _ in 0..5 {
        raw.send(&query("SELECT 'flood'"))?;
        ensure!(tags(&raw.until(b'Z')?) == "TDCZ");
    }
    let memory = std::fs::read_to_string(format!("/proc/{}/status", house.gateway.pid()))?;
    let peak = memory
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .context("no VmHWM")?;
    let peak: u64 = peak.trim().trim_end_matches("kB").trim().parse()?;
    ensure!(peak < 400 << 10, "{peak} KiB");
    Ok(())
}

/// pa-197: where a target is and as whom the gateway logs in there is not for clients.
#[test]
fn a_target_that_cannot_be_reached_is_not_described() -> Result<()> {
    let house = house(Answers::new())?;
    let mut endpoint = house.endpoint;
    "dead".clone_into(&mut endpoint.database);
    let error = Raw::login(&endpoint).err().context("it was let in")?.to_string();
    ensure!(error.contains("dead") && error.contains("57P03"), "{error}");
    ensure!(!error.contains("127.0.0.1") && !error.contains("the_role"), "{error}");
    Ok(())
}
