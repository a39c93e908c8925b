//! Whatever the pieces, the bytes are the same.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sallyport_testbed::Authority;
use sallyport_tunnel::websocket::accept;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::hostile::{Frame, UPGRADE};
use super::{PATIENCE, Result, pair, trusting};

/// Writes in pieces of these sizes, and reads in pieces of those.
async fn pass(
    mut from: impl AsyncWrite + Unpin,
    mut to: impl AsyncRead + Unpin,
    bytes: &[u8],
    writes: &[usize],
    reads: &[usize],
) -> Result<Vec<u8>> {
    let writing = async {
        let mut rest = bytes;
        for size in writes.iter().cycle() {
            let (piece, more) = rest.split_at(rest.len().min(*size));
            from.write_all(piece).await?;
            if size % 3 == 0 {
                from.flush().await?;
            }
            rest = more;
            if rest.is_empty() {
                break;
            }
        }
        from.shutdown().await?;
        Result::Ok(())
    };
    let reading = async {
        let mut all = Vec::new();
        for size in reads.iter().cycle() {
            let mut piece = vec![0; *size];
            let length = to.read(&mut piece).await?;
            if length == 0 {
                break;
            }
            all.extend_from_slice(piece.get(..length).unwrap_or_default());
        }
        Result::Ok(all)
    };
    Ok(tokio::try_join!(writing, reading)?.1)
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    let size = prop_oneof![1..20_usize, 100..200_usize, 60_000..70_000_usize, 1..300_000_usize];
    prop::collection::vec(size, 1..8)
}

/// What one message is made of, as another implementation may send it.
fn message() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2000), 1..5)
}

fn outcome<T>(result: Result<T>) -> std::result::Result<T, TestCaseError> {
    result.map_err(|error| TestCaseError::fail(error.to_string()))
}

#[tokio::test]
async fn another_tls_runs_inside() -> Result {
    let (client, server) = pair().await?;
    let authority = Authority::new()?;
    let issued = authority.server(&["gateway"])?;
    let chain = CertificateDer::pem_slice_iter(issued.certificate.as_bytes()).collect::<std::result::Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes())?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    let connector = TlsConnector::from(trusting(Some(&authority.certificate()))?);
    let connecting = async { Result::Ok(connector.connect("gateway".try_into()?, client).await?) };
    let accepting = async { Result::Ok(TlsAcceptor::from(Arc::new(config)).accept(server).await?) };
    let (mut client, mut server) = tokio::try_join!(connecting, accepting)?;
    let bytes: Vec<u8> = (0..251).cycle().take(3_000_000).collect();
    let up = pass(&mut client, &mut server, &bytes, &[1, 70_000, 200_000], &[50_000]).await?;
    assert!(up == bytes);
    let mut down = Vec::new();
    server.shutdown().await?;
    client.read_to_end(&mut down).await?;
    assert!(down.is_empty());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_ways_give_what_was_written(
        bytes in prop::collection::vec(any::<u8>(), 0..500_000),
        writes in sizes(),
        reads in sizes(),
        upwards in any::<bool>(),
    ) {
        let passed = runtime().and_then(|runtime| runtime.block_on(async {
            let (mut client, mut server) = pair().await?;
            if upwards {
                pass(&mut client, &mut server, &bytes, &writes, &reads).await
            } else {
                pass(&mut server, &mut client, &bytes, &writes, &reads).await
            }
        }));
        prop_assert!(outcome(passed)? == bytes);
    }

    #[test]
    fn fragments_of_others_are_put_together(
        messages in prop::collection::vec(message(), 0..20),
        pings in any::<u8>(),
        cuts in prop::collection::vec(1..3000_usize, 1..6),
    ) {
        let mut wire = UPGRADE.as_bytes().to_vec();
        // The client has to wait for the answer, so the request goes alone.
        let head = wire.len();
        for (number, fragments) in messages.iter().enumerate() {
            for (index, fragment) in fragments.iter().enumerate() {
                let opcode = if index == 0 { 2 } else { 0 };
                wire.extend(Frame::new(opcode, fragment).end(index + 1 == fragments.len()).masked());
                if (number + index) % usize::from(pings.max(1)) == 0 {
                    wire.extend(Frame::new(9, b"between").masked());
                }
            }
        }
        wire.extend(Frame::new(8, &[]).masked());
        let expected = messages.concat().concat();
        let read = runtime().and_then(|runtime| runtime.block_on(async {
            // A buffer so small that every frame is cut somewhere.
            let (mut near, far) = tokio::io::duplex(97);
            let client = async {
                let (request, frames) = wire.split_at(head);
                near.write_all(request).await?;
                let (mut read, mut write) = tokio::io::split(near);
                let mut answer = Vec::new();
                while !answer.ends_with(b"\r\n\r\n") {
                    read.read_buf(&mut answer).await?;
                }
                let reading = async { Result::Ok(tokio::io::copy(&mut read, &mut tokio::io::sink()).await?) };
                let writing = async {
                    let mut rest = frames;
                    for cut in cuts.iter().cycle() {
                        let (piece, more) = rest.split_at(rest.len().min(*cut));
                        write.write_all(piece).await?;
                        rest = more;
                        if rest.is_empty() {
                            break;
                        }
                    }
                    Result::Ok(())
                };
                tokio::try_join!(reading, writing)
            };
            let server = async {
                let mut stream = accept(far, bytes::Bytes::new(), PATIENCE).await?;
                let mut all = Vec::new();
                stream.read_to_end(&mut all).await?;
                Result::Ok(all)
            };
            Ok(tokio::time::timeout(Duration::from_secs(60), async { tokio::try_join!(server, client) }).await??.0)
        }));
        prop_assert!(outcome(read)? == expected);
    }

    #[test]
    fn no_bytes_whatever_do_more_than_end_it(bytes in prop::collection::vec(any::<u8>(), 0..5000)) {
        let read = runtime().and_then(|runtime| runtime.block_on(async {
            let (mut near, far) = tokio::io::duplex(10_000);
            near.write_all(UPGRADE.as_bytes()).await?;
            let mut stream = accept(far, bytes::Bytes::new(), PATIENCE).await?;
            near.write_all(&bytes).await?;
            near.shutdown().await?;
            let mut all = Vec::new();
            let ended = stream.read_to_end(&mut all).await;
            let again = stream.read(&mut [0]).await;
            assert_eq!(ended.is_err(), again.is_err(), "{ended:?}, and then {again:?}");
            Ok(all.len())
        }));
        prop_assert!(outcome(read)? <= bytes.len());
    }
}
