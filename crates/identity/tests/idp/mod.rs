//! A real OpenID provider in a process of its own, ended with the test.

use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

pub(crate) struct Idp {
    pub(crate) issuer: String,
    process: Child,
}

impl Idp {
    pub(crate) async fn start() -> Self {
        Self::on("0").await
    }

    /// The same provider with new keys.
    pub(crate) async fn rotate(self) -> Self {
        let port = self.issuer.rsplit_once(':').unwrap().1.to_owned();
        self.stop().await;
        Self::on(&port).await
    }

    pub(crate) async fn stop(mut self) {
        self.process.kill().await.unwrap();
    }

    async fn on(port: &str) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/oidc/idp.mjs");
        let modules = modules();
        assert!(
            modules.join("oidc-provider").exists(),
            "oidc-provider is not in `{}`: run `cargo xtask setup`, or set SALLYPORT_NPM",
            modules.display()
        );
        let mut node = Command::new("node");
        node.arg(script)
            .arg(modules)
            .arg(port)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut process = node.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        loop {
            let line = lines.next_line().await.unwrap().expect("the provider ended");
            if let Ok(ready) = serde_json::from_str::<serde_json::Value>(&line) {
                // Whatever it prints from now on is read, so that it never waits for us.
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                return Self {
                    issuer: ready["issuer"].as_str().unwrap().to_owned(),
                    process,
                };
            }
        }
    }
}

fn modules() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let cache = || set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    set("SALLYPORT_NPM")
        .or_else(|| Some(cache()?.join("sallyport/node/node_modules")))
        .unwrap()
}
