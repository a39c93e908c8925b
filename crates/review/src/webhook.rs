//! Telling chats and programs of requests: signed, retried, bounded, and never in the way of a hold.

use std::fmt::Write;
use std::sync::{Arc, Weak};
use std::time::Duration;

use aws_lc_rs::hmac;
use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use time::OffsetDateTime;
use tokio::sync::{broadcast, mpsc};

use crate::config::{Webhook, WebhookFormat};
use crate::desk::Inner;
use crate::request::{Request, head};
use crate::witness::{Act, ActKind};

/// Messages that wait for one slow receiver; beyond it they are dropped and logged.
const QUEUE: usize = 256;
const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(10);
/// The most bytes of a statement that a program is sent; messages wait in memory.
const JSON_STATEMENT_BYTES: usize = 64 * 1024;
/// Chats cut longer texts.
const SLACK_STATEMENT_BYTES: usize = 2000;

/// Starts a task for each webhook, and one that feeds them.
pub(crate) fn start(inner: &Arc<Inner>) {
    if inner.config.webhooks.is_empty() {
        return;
    }
    let mut queues = Vec::new();
    for hook in inner.config.webhooks.clone() {
        let host = hook.url.host_str();
        let client = match sallyport_outgoing::client(&hook.url, None).timeout(TIMEOUT).build() {
            Ok(client) => client,
            Err(error) => {
                tracing::error!(%error, host, "a webhook is off: no HTTP client could be made");
                continue;
            }
        };
        let (sender, receiver) = mpsc::channel(QUEUE);
        tokio::spawn(deliver_all(client, hook.clone(), receiver));
        queues.push((hook, sender));
    }
    tokio::spawn(feed(Arc::downgrade(inner), inner.subscribe(), queues));
}

struct Message {
    event: &'static str,
    body: String,
}

async fn feed(
    inner: Weak<Inner>,
    mut acts: broadcast::Receiver<Arc<Act>>,
    queues: Vec<(Webhook, mpsc::Sender<Message>)>,
) {
    loop {
        let act = match acts.recv().await {
            Ok(act) => act,
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                tracing::warn!(missed, "webhooks missed events");
                continue;
            }
            Err(broadcast::error::RecvError::Closed) => return,
        };
        let (Some(event), Some(inner)) = (event_name(act.kind), inner.upgrade()) else {
            continue;
        };
        let request = match inner
            .requests
            .get(&act.request)
            .await
            .map(|row| row.as_ref().map(Request::read))
        {
            Ok(Some(Ok(request))) => request,
            Ok(Some(Err(error))) => {
                tracing::error!(request = act.request, %error, "webhooks cannot tell of a request");
                continue;
            }
            Ok(None) => continue,
            Err(error) => {
                tracing::error!(request = act.request, %error, "webhooks cannot tell of a request");
                continue;
            }
        };
        let link = inner
            .config
            .public_url
            .as_ref()
            .and_then(|url| url.join(&format!("requests/{}", request.id)).ok());
        for (hook, queue) in &queues {
            let body = body(hook, event, &act, &request, link.as_ref().map(url::Url::as_str));
            if queue.try_send(Message { event, body }).is_err() {
                tracing::warn!(
                    host = hook.url.host_str(),
                    request = act.request,
                    "a webhook is too slow: event dropped"
                );
            }
        }
    }
}

fn event_name(kind: ActKind) -> Option<&'static str> {
    match kind {
        ActKind::Requested => Some("request.opened"),
        ActKind::Approved => Some("request.approved"),
        ActKind::Granted => Some("request.granted"),
        ActKind::Denied => Some("request.denied"),
        ActKind::Withdrawn => Some("request.withdrawn"),
        ActKind::Expired => Some("request.expired"),
        ActKind::Resumed | ActKind::TimedOut | ActKind::Used => None,
    }
}

fn body(hook: &Webhook, event: &str, act: &Act, request: &Request, link: Option<&str>) -> String {
    match hook.format {
        WebhookFormat::Json => {
            let mut body = json!({
                "event": event,
                "at": act.at.unix_timestamp(),
                "by": act.by,
                "reason": act.reason,
                "url": link,
                "request": {
                    "id": request.id,
                    "state": request.state,
                    "requester": request.requester,
                    "target": request.target,
                    "database": request.database,
                    "task": request.task,
                    "rules": request.rules,
                    "message": request.message,
                    "needs": request.needs,
                    "watch": request.watch,
                    "approvals": request.approvals,
                    "digest": request.digest,
                },
            });
            if hook.include_statement
                && let Some(fields) = body.get_mut("request").and_then(|r| r.as_object_mut())
            {
                let shown = head(&request.statement, JSON_STATEMENT_BYTES);
                let truncated = request.statement_truncated || shown.len() < request.statement.len();
                fields.insert("statement".to_owned(), json!(shown));
                fields.insert("statement_truncated".to_owned(), json!(truncated));
            }
            body.to_string()
        }
        WebhookFormat::Slack => json!({ "text": slack_text(hook, act, request, link) }).to_string(),
    }
}

fn slack_text(hook: &Webhook, act: &Act, request: &Request, link: Option<&str>) -> String {
    let by = act.by.as_deref().map_or_else(|| "the gateway".to_owned(), slack_escape);
    let who = slack_escape(&request.requester.id);
    let target = slack_escape(&request.target);
    let mut text = match act.kind {
        ActKind::Requested | ActKind::Resumed | ActKind::TimedOut | ActKind::Used => {
            format!("*{who}* asks to run a statement on *{target}*")
        }
        ActKind::Approved => {
            format!("*{by}* approved a request of *{who}* for *{target}*; others are still asked")
        }
        ActKind::Granted => {
            format!("*{by}* approved a request of *{who}* for *{target}*: it may run now, once")
        }
        ActKind::Denied => format!("*{by}* denied a request of *{who}* for *{target}*"),
        ActKind::Withdrawn => format!("a request of *{who}* for *{target}* was withdrawn by {by}"),
        ActKind::Expired => format!("a request of *{who}* for *{target}* expired"),
    };
    // Writing to a string does not fail.
    let _ = write!(text, " (`{}`", request.id);
    if let Some(task) = &request.task {
        let _ = write!(text, ", task {}", slack_escape(task));
    }
    text.push(')');
    if let Some(reason) = &act.reason {
        let _ = write!(text, "\n> {}", slack_escape(reason));
    }
    if act.kind == ActKind::Requested {
        if let Some(message) = &request.message {
            let _ = write!(text, "\n> {}", slack_escape(message));
        }
        if hook.include_statement {
            let shown = head(&request.statement, SLACK_STATEMENT_BYTES);
            let more = if shown.len() < request.statement.len() || request.statement_truncated {
                "\n…"
            } else {
                ""
            };
            let _ = write!(text, "\n```{}{more}```", slack_escape(shown).replace('\u{2424}', "\n"));
        }
        if !request.watch.is_empty() {
            let _ = write!(text, "\nWatch it with `sallyport sessions watch {}`", request.session);
        }
        if !request.needs.is_empty() || request.watch.is_empty() {
            let _ = write!(
                text,
                "\nDecide with `sallyport approve {0}` or `sallyport deny {0}`",
                request.id
            );
        }
    }
    if let Some(link) = link {
        let _ = write!(text, "\n{}", slack_escape(link));
    }
    text
}

/// Takes from `text` whatever a chat would read as markup, a mention or a change of direction. Line ends become U+2424.
fn slack_escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '`' => escaped.push('\u{2cb}'),
            '\n' => escaped.push('\u{2424}'),
            '\t' => escaped.push(' '),
            c if c.is_control() || is_invisible(c) => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Characters that hide or reorder others.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

async fn deliver_all(client: reqwest::Client, hook: Webhook, mut queue: mpsc::Receiver<Message>) {
    while let Some(message) = queue.recv().await {
        deliver(&client, &hook, &message).await;
    }
}

async fn deliver(client: &reqwest::Client, hook: &Webhook, message: &Message) {
    let delivery = uuid::Uuid::now_v7().to_string();
    let host = hook.url.host_str().unwrap_or_default();
    let mut pause = FIRST_PAUSE;
    for attempt in 1..=ATTEMPTS {
        let mut post = client
            .post(hook.url.clone())
            .header("content-type", "application/json")
            .header("sallyport-event", message.event)
            .header("sallyport-delivery", &delivery);
        if let Some(secret) = &hook.secret {
            let now = OffsetDateTime::now_utc().unix_timestamp();
            post = post.header("sallyport-signature", signature(secret, now, &message.body));
        }
        let problem = match post.body(message.body.clone()).send().await {
            Ok(response) if response.status().is_success() => return,
            Ok(response) if is_final(response.status()) => {
                tracing::warn!(host, status = response.status().as_u16(), "a webhook refused an event");
                return;
            }
            Ok(response) => format!("status {}", response.status().as_u16()),
            // The address may carry a secret in its path.
            Err(error) => sallyport_outgoing::causes(error),
        };
        tracing::warn!(host, attempt, problem, "a webhook could not be told of an event");
        if attempt < ATTEMPTS {
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }
}

fn is_final(status: StatusCode) -> bool {
    let again = status == StatusCode::REQUEST_TIMEOUT || status == StatusCode::TOO_MANY_REQUESTS;
    !again && !status.is_server_error()
}

/// `t=TIME,v1=HEX`: HMAC-SHA-256 over `TIME.BODY`, so that an old message cannot be sent again as a new one.
fn signature(secret: &SecretString, unix_time: i64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
    let mut context = hmac::Context::with_key(&key);
    context.update(unix_time.to_string().as_bytes());
    context.update(b".");
    context.update(body.as_bytes());
    format!("t={unix_time},v1={}", hex::encode(context.sign().as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_documented_one() {
        // printf '1700000000.{}' | openssl dgst -sha256 -hmac secret
        let secret = SecretString::from("secret");
        let expected = "t=1700000000,v1=b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163";
        assert_eq!(signature(&secret, 1_700_000_000, "{}"), expected);
    }

    #[test]
    fn a_statement_cannot_speak_for_the_gateway() {
        let escaped = slack_escape("<!channel> ```*dana approved*\u{202e}\u{200b}\u{1b}[2J & co");
        assert_eq!(
            escaped,
            "&lt;!channel&gt; \u{2cb}\u{2cb}\u{2cb}*dana approved*\u{fffd}\u{fffd}\u{fffd}[2J &amp; co"
        );
    }
}
