//! Keys of AWS, and the forms that they come in.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::sigv4::SigningKeys;
use crate::login::{Ends, Expiry};

/// How long keys are kept of which nobody says when they end.
const UNSAID: Duration = Duration::from_mins(15);

/// Keys, and until when they are good.
pub(crate) struct Keys {
    access_key_id: String,
    secret: SecretString,
    session: Option<SecretString>,
    /// Absent when nobody says.
    pub(super) expiry: Option<Expiry>,
}

impl Keys {
    /// Keys that look like keys: what is in them goes into headers.
    pub(super) fn new(
        access_key_id: String,
        secret: SecretString,
        session: Option<SecretString>,
        expiry: Option<Expiry>,
    ) -> Option<Self> {
        let plain =
            |text: &str| !text.is_empty() && text.len() <= 8192 && text.bytes().all(|byte| byte.is_ascii_graphic());
        let id = access_key_id.len() <= 128
            && access_key_id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let good = id
            && !access_key_id.is_empty()
            && plain(secret.expose_secret())
            && session.as_ref().is_none_or(|session| plain(session.expose_secret()));
        good.then_some(Self {
            access_key_id,
            secret,
            session,
            expiry,
        })
    }

    pub(super) fn signing(&self) -> SigningKeys<'_> {
        SigningKeys {
            access_key_id: &self.access_key_id,
            secret: &self.secret,
            session: self.session.as_ref(),
        }
    }

    pub(super) fn session(&self) -> Option<&SecretString> {
        self.session.as_ref()
    }
}

impl Ends for Keys {
    fn fresh(&self) -> bool {
        self.expiry.is_none_or(|expiry| expiry.fresh())
    }
}

/// What the metadata services of machines and containers say.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct FromMetadata {
    access_key_id: String,
    secret_access_key: SecretString,
    token: Option<SecretString>,
    expiration: Option<String>,
}

impl FromMetadata {
    pub(super) fn keys(self) -> Option<Keys> {
        let expiry = match self.expiration {
            Some(text) => Some(expiry(&text)?),
            None => Some(Expiry::after(UNSAID)),
        };
        Keys::new(self.access_key_id, self.secret_access_key, self.token, expiry)
    }
}

/// What STS says, in XML. The elements that are looked for have no attributes, and their texts nothing that is escaped.
pub(super) fn from_sts(xml: &str) -> Option<Keys> {
    let credentials = element(xml, "Credentials")?;
    let secret = element(credentials, "SecretAccessKey")?;
    let session = element(credentials, "SessionToken")?;
    let expiry = expiry(element(credentials, "Expiration")?)?;
    let id = element(credentials, "AccessKeyId")?.to_owned();
    Keys::new(id, secret.into(), Some(session.into()), Some(expiry))
}

/// The code in an error of STS, if it is one that is known.
pub(super) fn sts_code(xml: &str) -> Option<&str> {
    element(element(xml, "Error")?, "Code")
}

fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    (!text.contains('&')).then_some(text.trim())
}

/// When a login ends that says so as a time of the day.
fn expiry(text: &str) -> Option<Expiry> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Some(Expiry::until(at.unix_timestamp(), super::now().unix_timestamp()))
}

/// The keys of a profile in a [file of keys](https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html).
pub(super) fn from_file(text: &str, profile: &str) -> Option<Keys> {
    let mut here = false;
    let (mut id, mut secret, mut session) = (None, None, None);
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            here = section.trim() == profile;
            continue;
        }
        let Some((name, value)) = line.split_once('=').filter(|_| here && !line.starts_with(['#', ';'])) else {
            continue;
        };
        let value = value.trim();
        match name.trim() {
            "aws_access_key_id" => id = Some(value.to_owned()),
            "aws_secret_access_key" => secret = Some(SecretString::from(value)),
            "aws_session_token" => session = Some(SecretString::from(value)),
            _ => {}
        }
    }
    Keys::new(id?, secret?, session, None)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_profile_is_read_and_no_other() {
        let text = "# aws_access_key_id = no\n[default]\naws_access_key_id = AK1\naws_secret_access_key=s=1 \n\n[ other ]\n\
                    aws_access_key_id=AK2\naws_secret_access_key = s2\naws_session_token = t2\n";
        let one = from_file(text, "default").unwrap();
        assert_eq!((one.access_key_id.as_str(), one.secret.expose_secret()), ("AK1", "s=1"));
        assert!(one.session.is_none());
        let two = from_file(text, "other").unwrap();
        assert_eq!(two.access_key_id, "AK2");
        assert_eq!(two.session.as_ref().map(|session| session.expose_secret()), Some("t2"));
        assert!(from_file(text, "third").is_none());
    }

    #[test]
    fn keys_that_would_break_a_header_are_refused() {
        for id in ["", "a b", "a\nb", "a/b", "a,b", "ü"] {
            assert!(Keys::new(id.to_owned(), "s".into(), None, None).is_none(), "{id:?}");
        }
        assert!(Keys::new("AK".to_owned(), "s\r\nx: y".into(), None, None).is_none());
        assert!(Keys::new("AK".to_owned(), "s".into(), Some("a b".into()), None).is_none());
    }

    #[test]
    fn an_answer_of_sts_is_read_or_refused_whole() {
        let xml = "<R><Credentials><AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>s/+</SecretAccessKey>\
                   <SessionToken>t==</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></R>";
        assert!(from_sts(xml).is_some());
        for (from, to) in [
            ("</Credentials>", ""),
            ("t==", "t&amp;"),
            ("2999", "soon"),
            ("ASIA", "AS IA"),
            ("s/+", ""),
        ] {
            assert!(from_sts(&xml.replace(from, to)).is_none(), "{from}");
        }
    }
}
