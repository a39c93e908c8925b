//! A byte relay: what a proxy costs that looks at nothing. `relay PORT TARGET`

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use tokio::net::{TcpListener, TcpStream};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments.next().context("no port to listen on")?.parse()?;
    let target: SocketAddr = arguments.next().context("no target")?.parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(port, target))
}

async fn serve(port: u16, target: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    loop {
        let (client, _) = listener.accept().await?;
        // A connection that breaks concerns its own client only.
        tokio::spawn(async move { relay(client, target).await });
    }
}

async fn relay(mut client: TcpStream, target: SocketAddr) -> Result<()> {
    let mut server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
