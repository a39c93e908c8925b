//! A Vault that is played, after its [API documentation](https://developer.hashicorp.com/vault/api-docs): it takes only its own
//! tokens, makes users with leases, and ends the leases of a token with the token.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};

use super::{Played, Said, Seen};

pub struct State {
    /// Tokens that are good, and how long they are good at first, in seconds.
    pub tokens: BTreeSet<String>,
    pub token_life: u64,
    pub token_renewable: bool,
    /// Leases that are good: their token and their user.
    pub leases: BTreeMap<String, (String, String)>,
    pub lease_life: u64,
    pub lease_renewable: bool,
    /// What is put into the ids of leases.
    pub odd: String,
    pub secrets: BTreeMap<String, Value>,
    pub secret_id: String,
    /// The status that everything gets, if it is not 0.
    pub broken: u16,
    /// The namespace that requests must name.
    pub namespace: String,
    made: u32,
    pub authority: Option<(sallyport_testbed::SshAuthority, tempfile::TempDir)>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            tokens: BTreeSet::new(),
            token_life: 3600,
            token_renewable: true,
            leases: BTreeMap::new(),
            lease_life: 3600,
            lease_renewable: true,
            odd: String::new(),
            secrets: BTreeMap::new(),
            secret_id: "CANARY-secret-id".to_owned(),
            broken: 0,
            namespace: String::new(),
            made: 0,
            authority: None,
        }
    }
}

pub struct PlayedVault {
    pub http: Played,
    pub state: Arc<Mutex<State>>,
}

impl PlayedVault {
    pub async fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let say = {
            let state = Arc::clone(&state);
            move |seen: &Seen| state.lock().unwrap().say(seen)
        };
        Self {
            http: Played::start(say).await,
            state,
        }
    }

    pub fn set<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap())
    }

    /// A store that logs in by AppRole.
    pub fn store(&self) -> String {
        format!(
            "[[vault]]\nname = \"prod\"\naddress = \"{}\"\n\
             login = {{ method = \"approle\", role_id = \"r1\", secret_id_env = \"SECRET_ID\" }}\n",
            self.http.url()
        )
    }
}

pub const ENVIRONMENT: &[(&str, &str)] = &[("SECRET_ID", "CANARY-secret-id")];

impl State {
    pub fn say(&mut self, seen: &Seen) -> Said {
        if self.broken != 0 {
            return Said::no(self.broken);
        }
        if seen.header("x-vault-request") != "true" || seen.header("x-vault-namespace") != self.namespace {
            return Said::no(400);
        }
        let body = seen.json();
        let login = match (seen.method.as_str(), seen.path.as_str()) {
            ("POST", "/v1/auth/approle/login") => body == json!({"role_id": "r1", "secret_id": self.secret_id}),
            ("POST", "/v1/auth/kubernetes/login") => body == json!({"role": "k1", "jwt": "CANARY-pod-jwt"}),
            ("POST", "/v1/auth/some/jwt/login") => body == json!({"role": "j1", "jwt": "CANARY-jwt"}),
            _ => return self.known(seen, &body),
        };
        if login { self.auth() } else { Said::no(400) }
    }

    fn auth(&mut self) -> Said {
        self.made += 1;
        let token = format!("hvs.CANARY-token-{}", self.made);
        self.tokens.insert(token.clone());
        Said::ok(&self.auth_of(&token))
    }

    fn auth_of(&self, token: &str) -> Value {
        json!({"lease_id": "", "renewable": false, "lease_duration": 0, "data": null, "auth": {
            "client_token": token, "accessor": "a", "policies": ["default"], "lease_duration": self.token_life,
            "renewable": self.token_renewable,
        }})
    }

    fn known(&mut self, seen: &Seen, body: &Value) -> Said {
        let token = seen.header("x-vault-token").to_owned();
        if !self.tokens.contains(&token) {
            return Said::no(403);
        }
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        match (seen.method.as_str(), seen.path.as_str()) {
            ("POST", "/v1/auth/token/renew-self") => Said::ok(&self.auth_of(&token)),
            ("POST", "/v1/auth/token/revoke-self") => {
                self.tokens.remove(&token);
                self.leases.retain(|_, (made_with, _)| *made_with != token);
                Said::Status(204, String::new())
            }
            ("GET", "/v1/database/creds/orders-ro") => self.user(&token),
            ("GET", "/v1/database/static-creds/orders") => Said::ok(&json!({"lease_id": "", "renewable": false,
                "lease_duration": 0, "data": {"username": "orders", "password": "CANARY-static", "ttl": 1800,
                "last_vault_rotation": "2024-01-01T00:00:00Z", "rotation_period": 3600}})),
            ("PUT", "/v1/sys/leases/renew") => {
                let id = text("lease_id");
                if !self.leases.contains_key(&id) || body.get("increment").and_then(Value::as_u64).is_none() {
                    return Said::no(400);
                }
                Said::ok(&json!({"lease_id": id, "renewable": true, "lease_duration": self.lease_life}))
            }
            ("PUT", "/v1/sys/leases/revoke") => {
                self.leases.remove(&text("lease_id"));
                Said::Status(204, String::new())
            }
            ("POST", "/v1/ssh/sign/deploy") => self.sign(body),
            ("GET", path) => match self.secrets.get(path) {
                Some(secret) => Said::ok(secret),
                None => Said::no(404),
            },
            _ => Said::no(405),
        }
    }

    fn user(&mut self, token: &str) -> Said {
        self.made += 1;
        let id = format!("database/creds/orders-ro/{}{}", self.odd, self.made);
        let user = format!("v-approle-orders-{}", self.made);
        self.leases.insert(id.clone(), (token.to_owned(), user.clone()));
        Said::ok(&json!({
            "lease_id": id, "lease_duration": self.lease_life, "renewable": self.lease_renewable,
            "data": {"username": user, "password": format!("CANARY-password-{}", self.made)},
        }))
    }

    /// The certificate is a real one, of ssh-keygen's.
    fn sign(&self, body: &Value) -> Said {
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
        let Some((authority, dir)) = &self.authority else {
            return Said::no(404);
        };
        if text("cert_type") != "user" || text("ttl") != "120s" {
            return Said::no(400);
        }
        let public = dir.path().join("asked.pub");
        std::fs::write(&public, text("public_key")).unwrap();
        let mut keygen = std::process::Command::new("ssh-keygen");
        keygen
            .arg("-q")
            .arg("-s")
            .arg(authority.key().path())
            .args(["-I", "played", "-V", "+2m"]);
        let signed = keygen
            .args(["-n", text("valid_principals")])
            .arg(&public)
            .status()
            .unwrap();
        if !signed.success() {
            return Said::no(400);
        }
        let certificate = std::fs::read_to_string(dir.path().join("asked-cert.pub")).unwrap();
        Said::ok(&json!({"lease_id": "", "renewable": false, "lease_duration": 0,
            "data": {"serial_number": "f65ed2fd21443d5c", "signed_key": certificate}}))
    }
}
