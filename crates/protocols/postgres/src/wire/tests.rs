//! Every decoder takes any bytes; what is encoded is decoded again; a stream cut anywhere is the same stream.

#![allow(
    clippy::unwrap_used,
    clippy::semicolon_if_nothing_returned,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use bytes::{Buf, BytesMut};
use proptest::{collection::vec, prelude::*};

use super::{
    CopyData, Diagnostic, Field, Format, Frame, Limits, Tag, WireError, backend, frontend, next_frame, peek_frame,
    startup,
};

fn frontend_samples() -> Vec<(frontend::Message<'static>, Vec<u8>)> {
    use frontend::{Bind, Close, CopyFail, Describe, Execute, FunctionCall, Message, Parse, Query, Subject};
    let mut samples = Vec::new();
    let mut add = |message: Message<'static>, encode: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = Vec::new();
        encode(&mut bytes);
        samples.push((message, bytes));
    };
    let query = Query { text: b"select 1" };
    add(Message::Query(query), &|out| query.encode(out));
    let parse = Parse {
        name: b"s1",
        text: b"select $1",
        parameter_types: vec![23, 0],
    };
    add(Message::Parse(parse.clone()), &|out| parse.encode(out));
    let bind = Bind {
        portal: b"p",
        statement: b"s1",
        parameter_formats: vec![Format::Text, Format::Binary],
        parameters: vec![Some(b"12"), None],
        result_formats: vec![Format::Binary],
    };
    add(Message::Bind(bind.clone()), &|out| bind.encode(out));
    let describe = Describe {
        subject: Subject::Portal,
        name: b"p",
    };
    add(Message::Describe(describe), &|out| describe.encode(out));
    let execute = Execute {
        portal: b"p",
        max_rows: 7,
    };
    add(Message::Execute(execute), &|out| execute.encode(out));
    let close = Close {
        subject: Subject::Statement,
        name: b"",
    };
    add(Message::Close(close), &|out| close.encode(out));
    let call = FunctionCall {
        function: 1740,
        argument_formats: vec![],
        arguments: vec![Some(b"x"), None],
        result_format: Format::Binary,
    };
    add(Message::FunctionCall(call.clone()), &|out| call.encode(out));
    let data = CopyData { data: b"1\t2\n" };
    add(Message::CopyData(data), &|out| data.encode(out));
    let fail = CopyFail { reason: b"no" };
    add(Message::CopyFail(fail), &|out| fail.encode(out));
    add(Message::CopyDone, &|out| frontend::copy_done(out));
    add(Message::Flush, &|out| frontend::flush(out));
    add(Message::Sync, &|out| frontend::sync(out));
    add(Message::Terminate, &|out| frontend::terminate(out));
    samples
}

fn backend_samples() -> Vec<(backend::Message<'static>, Vec<u8>)> {
    use backend::{
        Authentication, BackendKeyData, ColumnDescription, CommandComplete, CopyResponse, FunctionCallResponse,
        Message, NegotiateProtocolVersion, NotificationResponse, ParameterStatus, ReadyForQuery, RowDescription,
        TransactionStatus,
    };
    let mut samples = Vec::new();
    let mut add = |message: Message<'static>, encode: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = Vec::new();
        encode(&mut bytes);
        samples.push((message, bytes));
    };
    add(Message::Authentication(Authentication::Ok), &|out| {
        Authentication::encode_ok(out)
    });
    add(Message::Authentication(Authentication::CleartextPassword), &|out| {
        Authentication::encode_cleartext(out);
    });
    let key = BackendKeyData {
        pid: -5,
        secret: b"0123456789abcdef",
    };
    add(Message::BackendKeyData(key), &|out| key.encode(out));
    let done = CommandComplete { tag: b"INSERT 0 3" };
    add(Message::CommandComplete(done), &|out| done.encode(out));
    let copy = CopyResponse {
        format: Format::Text,
        columns: vec![Format::Text; 3],
    };
    add(Message::CopyInResponse(copy.clone()), &|out| copy.encode_in(out));
    add(Message::CopyOutResponse(copy.clone()), &|out| copy.encode_out(out));
    let error = Diagnostic::error("42501", "no").detail("rule").hint("ask");
    add(Message::ErrorResponse(error.clone()), &|out| error.encode_error(out));
    add(Message::NoticeResponse(error.clone()), &|out| error.encode_notice(out));
    let negotiate = NegotiateProtocolVersion {
        version: 0x30002,
        unknown: vec![b"_pq_.x"],
    };
    add(Message::NegotiateProtocolVersion(negotiate.clone()), &|out| {
        negotiate.encode(out)
    });
    let notification = NotificationResponse {
        pid: 7,
        channel: b"c",
        payload: b"hello",
    };
    add(Message::NotificationResponse(notification), &|out| {
        notification.encode(out)
    });
    let status = ParameterStatus {
        name: b"TimeZone",
        value: b"UTC",
    };
    add(Message::ParameterStatus(status), &|out| status.encode(out));
    let ready = ReadyForQuery {
        status: TransactionStatus::Failed,
    };
    add(Message::ReadyForQuery(ready), &|out| ready.encode(out));
    let column = ColumnDescription {
        name: b"ssn",
        table_oid: 16384,
        attnum: 3,
        type_oid: 25,
        type_len: -1,
        type_modifier: -1,
        format: Format::Text,
    };
    let rows = RowDescription {
        columns: vec![column, column],
    };
    add(Message::RowDescription(rows.clone()), &|out| rows.encode(out));
    let result = FunctionCallResponse { value: Some(b"9") };
    add(Message::FunctionCallResponse(result), &|out| result.encode(out));
    add(Message::ParseComplete, &|out| backend::parse_complete(out));
    add(Message::BindComplete, &|out| backend::bind_complete(out));
    add(Message::NoData, &|out| backend::no_data(out));
    add(Message::PortalSuspended, &|out| backend::portal_suspended(out));
    samples
}

#[test]
fn what_is_encoded_is_decoded_again() {
    for (message, bytes) in frontend_samples() {
        let frame: Frame<frontend::Tag> = next_frame(&bytes, &Limits::default()).unwrap().unwrap();
        assert_eq!(frame.total_len, bytes.len());
        let decoded = frontend::Message::decode(frame.tag, frame.body(&bytes).unwrap()).unwrap();
        assert_eq!(decoded, message);
    }
    for (message, bytes) in backend_samples() {
        let frame: Frame<backend::Tag> = next_frame(&bytes, &Limits::default()).unwrap().unwrap();
        assert_eq!(frame.total_len, bytes.len());
        let decoded = backend::Message::decode(frame.tag, frame.body(&bytes).unwrap()).unwrap();
        assert_eq!(decoded, message);
    }
}

#[test]
fn a_body_cut_short_or_with_more_is_refused() {
    for (_, bytes) in frontend_samples() {
        let frame: Frame<frontend::Tag> = next_frame(&bytes, &Limits::default()).unwrap().unwrap();
        if frame.tag == frontend::Tag::CopyData {
            continue;
        }
        let body = frame.body(&bytes).unwrap();
        for cut in 0..body.len() {
            assert!(
                frontend::Message::decode(frame.tag, &body[..cut]).is_err(),
                "{frame:?} {cut}"
            );
        }
        let longer = [body, b"!"].concat();
        assert!(frontend::Message::decode(frame.tag, &longer).is_err(), "{frame:?}");
    }
}

#[test]
fn tags_and_bytes_agree() {
    let mut seen = (0, 0);
    for byte in 0..=u8::MAX {
        if let Some(tag) = <frontend::Tag as Tag>::from_byte(byte) {
            assert_eq!(tag.byte(), byte);
            seen.0 += 1;
        }
        if let Some(tag) = <backend::Tag as Tag>::from_byte(byte) {
            assert_eq!(tag.byte(), byte);
            seen.1 += 1;
        }
    }
    assert_eq!(seen, (14, 24));
}

/// pa-019: impossible and oversized lengths are refused at the header, before anything is buffered.
#[test]
fn lengths_out_of_bounds_are_refused_at_the_header() {
    let limits = Limits::default();
    let peek = |tag: u8, len: u32| {
        let mut bytes = vec![tag];
        bytes.extend(len.to_be_bytes());
        peek_frame::<frontend::Tag>(&bytes, &limits)
    };
    for len in 0..=3 {
        assert_eq!(peek(b'Q', len), Err(WireError::BadLength { tag: b'Q', len }));
    }
    for len in [0x4000_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff] {
        assert!(matches!(peek(b'Q', len), Err(WireError::TooLong { .. })), "{len:#x}");
        assert!(matches!(peek(b'd', len), Err(WireError::TooLong { .. })), "{len:#x}");
    }
    assert!(matches!(peek(b'S', (1 << 20) + 1), Err(WireError::TooLong { .. })));
    assert!(peek(b'd', (1 << 30) - 1).unwrap().is_some());
    assert_eq!(
        peek_frame::<frontend::Tag>(b"Z", &limits),
        Err(WireError::UnknownType(b'Z'))
    );
    assert_eq!(
        peek_frame::<backend::Tag>(b"Q", &limits),
        Err(WireError::UnknownType(b'Q'))
    );
}

/// pa-001, pa-002, pa-018: what the first packet may look like.
#[test]
fn startup_packets_out_of_bounds_are_refused() {
    for len in [0u32, 4, 7, 10_001, 0x7fff_ffff, 0xffff_ffff] {
        assert!(startup::next_packet(&len.to_be_bytes()).is_err(), "{len}");
    }
    let packet = |body: &[u8]| {
        let mut bytes = u32::try_from(body.len() + 8).unwrap().to_be_bytes().to_vec();
        bytes.extend(startup::Version::V3_0.code().to_be_bytes());
        bytes.extend(body);
        bytes
    };
    let good = packet(b"user\0app\0\0");
    assert!(startup::next_packet(&good).unwrap().is_some());
    for bad in [
        &b"user\0app\0"[..],
        b"user\0app",
        b"user\0",
        b"user\0app\0x\0\0",
        b"",
        b"user\0app\0\0more",
    ] {
        assert!(startup::next_packet(&packet(bad)).is_err(), "{}", bad.escape_ascii());
    }
    let mut cancel = Vec::new();
    startup::cancel_request(
        &mut cancel,
        &backend::BackendKeyData {
            pid: 1,
            secret: b"1234",
        },
    );
    assert_eq!(cancel.len(), 16);
    for len in [12u32, 15, 269, 300] {
        let mut bytes = vec![0; len as usize];
        bytes[..4].copy_from_slice(&len.to_be_bytes());
        bytes[4..8].copy_from_slice(&cancel[4..8]);
        assert!(startup::next_packet(&bytes).is_err(), "{len}");
    }
}

#[test]
fn fields_of_an_error_can_be_changed_and_unknown_ones_are_dropped() {
    let body = b"SERROR\0VERROR\0C23502\0Mnull value\0DFailing row contains (1, 078-05-1120).\0?odd\0\0";
    let mut error = Diagnostic::decode(body).unwrap();
    assert_eq!(error.sqlstate(), "23502");
    error.set(Field::Detail, &b"[masked]"[..]);
    let mut out = Vec::new();
    error.encode_error(&mut out);
    assert_eq!(&out[5..], b"SERROR\0VERROR\0C23502\0Mnull value\0D[masked]\0\0");
    let forged = Diagnostic::error("XX000", "a\0Mb");
    let mut out = Vec::new();
    forged.encode_error(&mut out);
    assert_eq!(Diagnostic::decode(&out[5..]).unwrap().text(Field::Message), "aMb");
}

fn frames_of(chunks: &[&[u8]]) -> Vec<(frontend::Tag, Vec<u8>)> {
    let mut buf = BytesMut::new();
    let mut frames = Vec::new();
    for chunk in chunks {
        buf.extend_from_slice(chunk);
        while let Some(frame) = next_frame::<frontend::Tag>(&buf, &Limits::default()).unwrap() {
            frames.push((frame.tag, frame.body(&buf).unwrap().to_vec()));
            buf.advance(frame.total_len);
        }
    }
    assert!(buf.is_empty());
    frames
}

#[test]
fn a_stream_cut_at_any_position_gives_the_same_frames() {
    let stream: Vec<u8> = frontend_samples().into_iter().flat_map(|(_, bytes)| bytes).collect();
    let whole = frames_of(&[&stream]);
    assert_eq!(whole.len(), frontend_samples().len());
    for at in 0..=stream.len() {
        let (a, b) = stream.split_at(at);
        assert_eq!(frames_of(&[a, b]), whole, "cut at {at}");
    }
    let single: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(frames_of(&single), whole);
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_or_refused(tag: u8, body in vec(any::<u8>(), 0..200)) {
        if let Some(tag) = <frontend::Tag as Tag>::from_byte(tag) {
            let _ = frontend::Message::decode(tag, &body);
        }
        if let Some(tag) = <backend::Tag as Tag>::from_byte(tag)
            && let Ok(backend::Message::DataRow(row)) = backend::Message::decode(tag, &body)
        {
            prop_assert!(row.columns().count() <= row.len() + 1);
        }
        let mut stream = vec![tag];
        stream.extend(&body);
        let _ = next_frame::<frontend::Tag>(&stream, &Limits::default());
        let _ = next_frame::<backend::Tag>(&stream, &Limits::default());
    }

    #[test]
    fn any_first_packet_is_decoded_or_refused(len in 0u32..400, body in vec(any::<u8>(), 0..400)) {
        let mut packet = len.to_be_bytes().to_vec();
        packet.extend(&body);
        if let Ok(Some((_, total))) = startup::next_packet(&packet) {
            prop_assert_eq!(total, len as usize);
        }
    }

    #[test]
    fn binds_survive(parameters in vec(proptest::option::of(vec(any::<u8>(), 0..20)), 0..20)) {
        let bind = frontend::Bind {
            portal: b"", statement: b"s", parameter_formats: vec![Format::Binary],
            parameters: parameters.iter().map(|value| value.as_deref()).collect(),
            result_formats: vec![],
        };
        let mut out = Vec::new();
        bind.encode(&mut out);
        prop_assert_eq!(frontend::Bind::decode(&out[5..]).unwrap(), bind);
    }
}
