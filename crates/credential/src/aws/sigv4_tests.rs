//! The cases that AWS published as the test suite of signature version 4, and its example of a token for RDS.

#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use time::macros::datetime;

use super::*;

const TIME: OffsetDateTime = datetime!(2015-08-30 12:36:00 UTC);

fn signature(request: Request<'_>, session: Option<&str>) -> String {
    let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into();
    let session = session.map(SecretString::from);
    let keys = SigningKeys {
        access_key_id: "AKIDEXAMPLE",
        secret: &secret,
        session: session.as_ref(),
    };
    let scope = Scope {
        region: "us-east-1",
        service: "service",
        time: TIME,
    };
    let signed = sign(request, &keys, &scope).unwrap();
    assert_eq!(signed.date, "20150830T123600Z");
    let start = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=";
    let rest = signed.authorization.strip_prefix(start).unwrap();
    rest.to_owned()
}

fn request<'a>(method: &'a str, query: &[(&str, &str)], more: &[(&'static str, &str)], body: &'a [u8]) -> Request<'a> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let mut headers = vec![("host", "example.amazonaws.com".to_owned())];
    headers.extend(more.iter().map(|&(name, value)| (name, value.to_owned())));
    Request {
        method,
        path: "/",
        query: query.iter().map(own).collect(),
        headers,
        body,
    }
}

#[test]
fn it_signs_as_aws_published() {
    let get = |query: &[(&str, &str)]| signature(request("GET", query, &[], b""), None);
    let plain = |signature: &str| format!("host;x-amz-date, Signature={signature}");
    let unreserved = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for (query, expected) in [
        (
            &[][..],
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            &[("Param2", "value2"), ("Param1", "value1")],
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            &[(unreserved, unreserved)],
            "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
        ),
        (
            &[("\u{1234}", "bar")],
            "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
        ),
    ] {
        assert_eq!(get(query), plain(expected), "{query:?}");
    }
    assert_eq!(
        signature(request("POST", &[], &[], b""), None),
        plain("5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    );
    let form = [("content-type", "application/x-www-form-urlencoded")];
    assert_eq!(
        signature(request("POST", &[], &form, b"Param1=value1"), None),
        "content-type;host;x-amz-date, Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    );
    let spaces = [("my-header1", " value1"), ("my-header2", " \"a   b   c\"")];
    assert_eq!(
        signature(request("GET", &[], &spaces, b""), None),
        "host;my-header1;my-header2;x-amz-date, \
         Signature=acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    );
}

#[test]
fn it_signs_the_token_of_a_session() {
    let session = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflf\
                   KD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx\
                   6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabI\
                   Qwj2ICCR/oLxBA==";
    assert_eq!(
        signature(request("POST", &[], &[], b""), Some(session)),
        "host;x-amz-date;x-amz-security-token, \
         Signature=85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
    );
}

#[test]
fn it_presigns_as_awss_own_programs_do() {
    let secret = "skid".into();
    let keys = SigningKeys {
        access_key_id: "akid",
        secret: &secret,
        session: None,
    };
    let scope = Scope {
        region: "us-east-1",
        service: "rds-db",
        time: datetime!(2016-11-07 17:39:33 UTC),
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let request = Request {
        method: "GET",
        path: "/",
        query: vec![pair("Action", "connect"), pair("DBUser", "someusername")],
        headers: vec![("host", "prod-instance.us-east-1.rds.amazonaws.com:3306".to_owned())],
        body: b"",
    };
    let query = presign(request, &keys, &scope, 900).unwrap();
    let query = query.expose_secret();
    assert!(
        query.starts_with("Action=connect&DBUser=someusername&X-Amz-Algorithm=AWS4-HMAC-SHA256&"),
        "{query}"
    );
    assert!(
        query.contains("&X-Amz-Credential=akid%2F20161107%2Fus-east-1%2Frds-db%2Faws4_request&"),
        "{query}"
    );
    assert!(
        query.contains("&X-Amz-Expires=900&X-Amz-SignedHeaders=host&"),
        "{query}"
    );
    assert!(
        query.ends_with("&X-Amz-Signature=d1138cdbc0ca63eec012ec0fc6c2267e03642168f5884a7795320d4c18374c61"),
        "{query}"
    );
}

proptest! {
    #[test]
    fn what_is_in_a_value_stays_in_it(value in "\\PC{0,30}") {
        let canonical = request("GET", &[("a", &value), ("z", "")], &[], b"").canonical_query();
        prop_assert!(canonical.ends_with("&z="));
        prop_assert_eq!(canonical.matches(['&', '=']).count(), 3);
    }
}
