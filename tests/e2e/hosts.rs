//! Client, gateway and target on hosts of their own: the gateway's is the only way.

use std::process::Stdio;

use anyhow::{Result, ensure};
use sallyport_testbed::{Gateway, GatewayOptions, Network, Options, Person, Postgres, Role};
use sallyport_tests::{Endpoint, program, root};

#[test]
fn the_gateway_is_the_only_way_to_a_target_on_another_host() -> Result<()> {
    let Some(mut network) = Network::or_skip("the_gateway_is_the_only_way_to_a_target_on_another_host")? else {
        return Ok(());
    };
    let [client, middle, target] = [
        network.host("client")?,
        network.host("gateway")?,
        network.host("target")?,
    ];
    network.link(&client, &middle)?;
    network.link(&middle, &target)?;
    let server = Postgres::start(&Options {
        roles: vec![Role::new("app", "secret")],
        host: Some(target),
        ..Options::default()
    })?;
    let dir = tempfile::tempdir()?;
    let password = dir.path().join("password");
    std::fs::write(&password, "secret")?;
    let options = GatewayOptions {
        program: program()?,
        policy: root().join("tests/policies/permit-all"),
        targets: Some(format!(
            "[[target]]\nname = \"orders\"\nprotocol = \"postgres\"\naddress = \"{}:{}\"\nuser = \"app\"\n\
             database = \"postgres\"\npassword_file = {password:?}\ntls = \"disable\"\n",
            server.host(),
            server.port()
        )),
        people: vec![Person::new("alice", &["developers"])],
        settings: String::new(),
    };
    let gateway = Gateway::start_in_host(&options, &middle)?;
    let through = |gateway: &Gateway| -> Result<Endpoint> {
        Ok(Endpoint {
            host: gateway.postgres().ip().to_string(),
            port: gateway.postgres().port(),
            user: "alice".to_owned(),
            password: gateway.token("alice")?,
            database: "orders".to_owned(),
            tls: true,
        })
    };
    let ask = |endpoint: &Endpoint| -> Result<String> {
        let mut psql = client.wrap(&endpoint.program("psql"));
        psql.args(["-X", "-A", "-t", "-c", "SELECT inet_client_addr()"]);
        let output = psql.stdin(Stdio::null()).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    assert_eq!(ask(&through(&gateway)?)?, middle.address().to_string());

    let direct = Endpoint {
        host: server.host(),
        port: server.port(),
        user: "app".to_owned(),
        password: "secret".to_owned(),
        database: "postgres".to_owned(),
        tls: false,
    };
    let error = ask(&direct).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("Network is unreachable"), "{error}");

    let gateway = gateway.kill()?.start()?;
    assert_eq!(ask(&through(&gateway)?)?, middle.address().to_string());
    Ok(())
}
